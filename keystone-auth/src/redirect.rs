//! HTTP redirects. A [`Transport`] does not follow redirects; this module does so for its callers.

use http::{Method, Request, Response, Uri, header};
use url::Url;

use glance_core::body::Body;
use glance_core::transport::{Transport, TransportError};

/// The reason why a request got no usable response.
#[derive(Debug)]
pub enum Unanswered {
    /// No response arrived.
    Transport(TransportError),
    /// The response is a redirect that is not followed.
    Redirect(Redirect),
}

/// A redirect that was not followed. The messages contain only origins, because the rest of a URL
/// may contain a signature.
#[derive(Debug)]
#[non_exhaustive]
pub struct Redirect {
    /// What happened, as a fragment of a sentence.
    pub reason: String,
    /// What the operator can do about it.
    pub hint: String,
}

/// Sends a request and follows redirects. Only GET is redirected, and only within the same origin,
/// so that the token stays with the server that it is for.
pub async fn send(
    transport: &dyn Transport,
    request: Request<Body>,
) -> Result<Response<Body>, Unanswered> {
    let (mut head, mut body) = request.into_parts();
    let mut hops = 0;
    loop {
        let request = Request::from_parts(head.clone(), body);
        let answer = transport.send(request).await.map_err(Unanswered::Transport)?;
        let Some((from, to)) = redirect(&head.uri, &answer) else { return Ok(answer) };
        head.uri = follow(&head.method, &from, &to, hops).map_err(Unanswered::Redirect)?;
        tracing::debug!("redirected within {}", name(&from));
        hops += 1;
        body = Body::empty();
    }
}

/// The URLs from which and to which a response redirects; `None` if it is not a redirect.
fn redirect(asked: &Uri, answer: &Response<Body>) -> Option<(Url, Url)> {
    // 300 is a list of choices, and 304 is not a redirect.
    let redirects = matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = answer.headers().get(header::LOCATION).filter(|_| redirects)?;
    let from = Url::parse(&asked.to_string()).ok()?;
    let mut to = from.join(location.to_str().ok()?).ok()?;
    // Text before an `@` can look like a host and would mislead the reader of a message.
    let _ = (to.set_username(""), to.set_password(None));
    Some((from, to))
}

fn follow(method: &Method, from: &Url, to: &Url, hops: usize) -> Result<Uri, Redirect> {
    let (here, there) = (name(from), name(to));
    let refuse = |reason, hint: &str| Err(Redirect { reason, hint: hint.to_owned() });
    if from.origin() != to.origin() {
        let reason = format!(
            "{here} redirects to {there}, but the tool does not follow: {there} must not receive \
             the credentials"
        );
        return match (from.scheme(), to.scheme()) {
            ("https", "http") => refuse(reason, DOWNGRADE),
            _ => {
                refuse(reason, &format!("use the address of {there}, if that is the right server"))
            }
        };
    }
    if method != Method::GET {
        let reason = format!(
            "{here} redirects {method} requests to another path; the tool follows redirects only \
             for GET"
        );
        return refuse(reason, "correct the path in the endpoint");
    }
    if hops == HOPS {
        return refuse(format!("{here} redirects to {there} endlessly"), ENDLESS);
    }
    to.as_str()
        .parse()
        .or_else(|_| refuse(format!("{here} redirects to an invalid address"), ENDLESS))
}

fn name(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// The maximum number of redirects. A missing version and a trailing slash need fewer.
const HOPS: usize = 3;
const ENDLESS: &str = "check the configuration of the server and of proxies in front of it";
const DOWNGRADE: &str = "make the TLS proxy in front of the server send X-Forwarded-Proto, and set \
    enable_proxy_headers_parsing in the server: the server does not know that https is in use";

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::*;

    /// Sends these responses, then 200, and records the requests.
    #[derive(Debug)]
    struct Server {
        answers: Mutex<Vec<(u16, &'static str)>>,
        asked: Mutex<Vec<String>>,
    }

    #[async_trait]
    impl Transport for Server {
        async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
            assert_eq!(request.headers()["x-auth-token"], "hush");
            self.asked.lock().unwrap().push(format!("{} {}", request.method(), request.uri()));
            let (status, location) = self.answers.lock().unwrap().pop().unwrap_or((200, ""));
            let mut answer = Response::builder().status(status);
            if !location.is_empty() {
                answer = answer.header("location", location);
            }
            Ok(answer.body(Body::empty()).unwrap())
        }
    }

    /// The status or the error, and the requests after the first one.
    async fn ask(method: &str, answers: &[(u16, &'static str)]) -> (Result<u16, String>, String) {
        let answers = Mutex::new(answers.iter().rev().copied().collect());
        let server = Server { answers, asked: Mutex::default() };
        let request = Request::builder().method(method).uri("https://glance.test:9292/v2/images?a");
        let request = request.header("x-auth-token", "hush").body(Body::empty()).unwrap();
        let answer = match send(&server, request).await {
            Ok(answer) => Ok(answer.status().as_u16()),
            Err(Unanswered::Redirect(redirect)) => Err(redirect.reason),
            Err(Unanswered::Transport(error)) => panic!("{error}"),
        };
        let asked = server.asked.into_inner().unwrap();
        (answer, asked[1..].join(", "))
    }

    #[tokio::test]
    async fn a_get_is_followed_within_its_origin() {
        for (status, location, then) in [
            (301, "/v2/images/", "https://glance.test:9292/v2/images/"),
            (302, "other?b=c#d", "https://glance.test:9292/v2/other?b=c"),
            (303, "https://glance.test:9292/x", "https://glance.test:9292/x"),
            (307, "HTTPS://GLANCE.test:9292/x", "https://glance.test:9292/x"),
            (308, "//glance.test:9292", "https://glance.test:9292/"),
            (307, "https://user:word@glance.test:9292/x", "https://glance.test:9292/x"),
        ] {
            let (answer, asked) = ask("GET", &[(status, location)]).await;
            assert_eq!((answer, asked), (Ok(200), format!("GET {then}")), "{location}");
        }
        let three = [(302, "/1"), (302, "/2"), (302, "/3")];
        assert_eq!(ask("GET", &three).await.0, Ok(200));
    }

    #[tokio::test]
    async fn nothing_goes_to_another_origin() {
        for (location, origin) in [
            ("https://evil.test/v2/images?secret", "https://evil.test"),
            ("https://glance.test/v2/images", "https://glance.test"),
            ("https://glance.test:9293/v2", "https://glance.test:9293"),
            ("http://glance.test:9292/v2/images/", "http://glance.test:9292"),
            ("//evil.test:9292/v2", "https://evil.test:9292"),
            ("https://glance.test:9292@evil.test/", "https://evil.test"),
        ] {
            for method in ["GET", "POST", "PUT"] {
                let (answer, asked) = ask(method, &[(307, location)]).await;
                let between = format!("https://glance.test:9292 redirects to {origin},");
                let reason = answer.unwrap_err();
                assert!(reason.starts_with(&between) && !reason.contains("secret"), "{reason}");
                assert_eq!(asked, "");
            }
        }
        let (answer, asked) = ask("GET", &[(302, "/x"), (302, "http://glance.test:9292/y")]).await;
        assert!(answer.unwrap_err().contains("to http://glance.test:9292,"));
        assert_eq!(asked, "GET https://glance.test:9292/x");
    }

    #[tokio::test]
    async fn only_a_get_is_followed_and_not_for_ever() {
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let (answer, asked) = ask(method, &[(308, "/x?secret")]).await;
            let reason = format!(
                "https://glance.test:9292 redirects {method} requests to another path; the tool \
                follows redirects only for GET"
            );
            assert_eq!((answer, asked.as_str()), (Err(reason), ""));
        }
        let (answer, asked) = ask("GET", &[(302, "/x"); 9]).await;
        assert!(answer.unwrap_err().ends_with("endlessly"));
        assert_eq!(asked.split(", ").count(), HOPS);
    }

    #[tokio::test]
    async fn what_is_no_redirect_is_an_answer() {
        for answer in [(300, "/v2/"), (304, "/x"), (302, ""), (302, "https://["), (201, "/x")] {
            assert_eq!(ask("GET", &[answer]).await, (Ok(answer.0), String::new()));
        }
    }
}
