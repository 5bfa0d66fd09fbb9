use std::collections::VecDeque;
use std::sync::Mutex;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream;
use http::HeaderMap;

use super::*;
use crate::transport::TlsFailure;

/// What a server does with a request.
#[derive(Debug, Clone)]
enum Fate {
    Answer(u16),
    /// Answers 503 with these headers.
    Later(HeaderMap),
    Fails(TransportErrorKind),
}

use Fate::{Answer, Fails, Later};

/// Follows a script, then answers 200. Records the requests and their times.
#[derive(Debug, Default)]
struct Server {
    fates: Mutex<VecDeque<Fate>>,
    seen: Mutex<Vec<(Instant, String)>>,
}

#[async_trait]
impl Transport for Server {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let (head, body) = request.into_parts();
        let text = body.collect(100).await.unwrap();
        let text = format!("{} {}", head.method, String::from_utf8_lossy(&text));
        self.seen.lock().unwrap().push((Instant::now(), text));
        let fate = self.fates.lock().unwrap().pop_front().unwrap_or(Answer(200));
        let mut answer = Response::new(Bytes::from_static(b"said").into());
        match fate {
            Answer(status) => *answer.status_mut() = status.try_into().unwrap(),
            Later(headers) => {
                (*answer.status_mut(), *answer.headers_mut()) =
                    (http::StatusCode::SERVICE_UNAVAILABLE, headers);
            }
            Fails(kind) => {
                return Err(TransportError::new(kind, "", "it broke"));
            }
        }
        Ok(answer)
    }
}

impl Server {
    fn with(fates: impl IntoIterator<Item = Fate>) -> Arc<Self> {
        Arc::new(Self { fates: Mutex::new(fates.into_iter().collect()), ..Self::default() })
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|(_, text)| text.clone()).collect()
    }

    /// The seconds between consecutive requests.
    fn pauses(&self) -> Vec<f64> {
        let seen = self.seen.lock().unwrap();
        seen.windows(2).map(|pair| (pair[1].0 - pair[0].0).as_secs_f64()).collect()
    }
}

fn over(server: &Arc<Server>) -> Retrying {
    Retrying::new(Arc::<Server>::clone(server), RetryPolicy::default())
}

fn request(method: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::builder().method(method).uri("https://glance.test:9292/v2/images");
    request.body(body.into()).unwrap()
}

fn bytes(text: &'static str) -> Body {
    Bytes::from_static(text.as_bytes()).into()
}

/// The number of requests that arrive at a server that does `fate` for every request but the first.
async fn asked(method: &str, fate: Fate) -> usize {
    let server = Server::with([Answer(200)].into_iter().chain(std::iter::repeat_n(fate, 1000)));
    let persistent = over(&server);
    persistent.send(request("GET", Body::empty())).await.unwrap();
    let _ = persistent.send(request(method, bytes("x"))).await;
    server.seen().len() - 1
}

#[tokio::test(start_paused = true)]
async fn a_request_is_repeated_until_it_is_served_with_the_same_body() {
    for fate in STATUSES.map(Answer).into_iter().chain([
        Fails(TransportErrorKind::Connect),
        Fails(TransportErrorKind::Interrupted),
        Fails(TransportErrorKind::Timeout),
    ]) {
        let server = Server::with([fate.clone(), fate.clone()]);
        let answer = over(&server).send(request("PUT", bytes("abc"))).await.unwrap();
        assert_eq!(answer.status(), 200, "{fate:?}");
        assert_eq!(
            answer.extensions().get::<RetryCount>().map(|RetryCount(times)| *times),
            Some(2)
        );
        assert_eq!(server.seen(), ["PUT abc"; 3], "{fate:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_no_second_time_changes_is_not_repeated() {
    for status in [200, 204, 300, 304, 400, 401, 403, 404, 409, 410, 413, 415, 416, 501, 505] {
        assert_eq!(asked("GET", Answer(status)).await, 1, "{status}");
    }
    for kind in [
        TransportErrorKind::Body,
        TransportErrorKind::Protocol,
        TransportErrorKind::Refused,
        TransportErrorKind::Tls(TlsFailure::NotTrusted),
    ] {
        assert_eq!(asked("GET", Fails(kind)).await, 1, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_have_done_something_is_repeated_only_if_it_does_no_harm() {
    let done_nothing = [Answer(429), Answer(503), Fails(TransportErrorKind::Connect)];
    let unknown = [408, 425, 500, 502, 504]
        .map(Answer)
        .into_iter()
        .chain([Fails(TransportErrorKind::Interrupted), Fails(TransportErrorKind::Timeout)]);
    for fate in done_nothing {
        for method in ["GET", "HEAD", "PUT", "DELETE", "POST", "PATCH"] {
            assert_eq!(asked(method, fate.clone()).await, 11, "{method} {fate:?}");
        }
    }
    for fate in unknown {
        for method in ["GET", "HEAD", "PUT", "DELETE"] {
            assert_eq!(asked(method, fate.clone()).await, 11, "{method} {fate:?}");
        }
        for method in ["POST", "PATCH"] {
            assert_eq!(asked(method, fate.clone()).await, 1, "{method} {fate:?}");
        }
        let server = Server::with([fate]);
        let mut harmless = request("POST", bytes("x"));
        harmless.extensions_mut().insert(Idempotent);
        over(&server).send(harmless).await.unwrap();
        assert_eq!(server.seen().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn what_passes_once_is_sent_once() {
    for fate in [Answer(503), Answer(500), Fails(TransportErrorKind::Connect)] {
        for method in ["PUT", "POST", "GET"] {
            let server = Server::with([fate.clone()]);
            let chunks = stream::iter([Ok(Bytes::from_static(b"abc"))]);
            let bodies = [Body::from_stream(chunks, Some(3)), bytes("abc").once()];
            for body in bodies {
                server.fates.lock().unwrap().push_back(fate.clone());
                let result = over(&server).send(request(method, body)).await;
                assert!(result.is_err() || result.is_ok_and(|answer| answer.status() != 200));
            }
            assert_eq!(server.seen().len(), 2);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_number_of_repeats_is_bounded_and_told() {
    let server = Server::with(vec![Answer(500); 100]);
    let answer = over(&server).send(request("GET", Body::empty())).await.unwrap();
    assert_eq!(answer.status(), 500);
    assert_eq!(server.seen().len(), 11);

    // The address of a server that never answered may be wrong.
    let server = Server::with(vec![Fails(TransportErrorKind::Connect); 100]);
    let begin = Instant::now();
    let error = over(&server).send(request("GET", Body::empty())).await.unwrap_err();
    assert_eq!(error.reason, "it broke (tried 4 times)");
    assert!(begin.elapsed() < Duration::from_secs(4));

    let server = Server::with(vec![Answer(500); 100]);
    let none = Retrying::new(Arc::<Server>::clone(&server), RetryPolicy::default().times(0));
    none.send(request("GET", Body::empty())).await.unwrap();
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_by_chance_and_end_at_the_longest() {
    let server = Server::with(vec![Answer(500); 10]);
    over(&server).send(request("GET", Body::empty())).await.unwrap();
    let pauses = server.pauses();
    assert_eq!(pauses.len(), 10);
    for (earlier, pause) in (0_i32..).zip(&pauses) {
        let most = (0.5 * 2_f64.powi(earlier)).min(30.0);
        assert!((0.0..=most + 0.002).contains(pause), "{earlier}: {pauses:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_says_when_it_wants_to_be_asked_again() {
    let headers = |after: &str, date: Option<&str>| {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", after.parse().unwrap());
        if let Some(date) = date {
            headers.insert("date", date.parse().unwrap());
        }
        headers
    };
    let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
    for (after, date, seconds) in [
        ("0", None, 0.0),
        ("7", None, 7.0),
        ("Sun, 06 Nov 1994 08:50:07 GMT", date, 30.0),
        ("Sun, 06 Nov 1994 08:49:07 GMT", date, 0.0),
        // The delay is limited.
        ("86400", None, 300.0),
        ("99999999999999999999999", None, 300.0),
        ("Tue, 01 Jan 2999 00:00:00 GMT", None, 300.0),
    ] {
        let server = Server::with([Later(headers(after, date))]);
        over(&server).send(request("POST", bytes("x"))).await.unwrap();
        let pause = server.pauses()[0];
        assert!((seconds..=seconds + 0.502).contains(&pause), "{after}: {pause}");
    }
    // Even if the server asks for more delays, the retries end.
    let server = Server::with(vec![Later(headers("300", None)); 100]);
    over(&server).send(request("GET", Body::empty())).await.unwrap();
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_owner_of_a_cloud_says_how_often_when_and_after_what() {
    let half = Some(Duration::from_millis(1500));
    let wanted = RetryPolicy {
        unanswered: RetryLimit { times: 1, pause: None },
        refused: RetryLimit { times: 3, pause: half },
        statuses: vec![409, 503],
        ..RetryPolicy::default()
    };
    for (fate, times) in [(Answer(409), 3), (Answer(503), 3), (Answer(500), 0)] {
        let server = Server::with(vec![fate; 100]);
        let persistent = Retrying::new(Arc::<Server>::clone(&server), wanted.clone());
        persistent.send(request("GET", Body::empty())).await.unwrap();
        let pauses = server.pauses();
        assert_eq!(pauses.len(), times);
        assert!(pauses.iter().all(|pause| (1.5..1.51).contains(pause)), "{pauses:?}");
    }
    let server = Server::with(vec![Fails(TransportErrorKind::Interrupted); 100]);
    let persistent = Retrying::new(Arc::<Server>::clone(&server), wanted);
    persistent.send(request("GET", Body::empty())).await.unwrap_err();
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_away_is_asked_by_one_at_a_time_and_all_go_on_when_it_is_back() {
    let server = Server::with([Answer(200)].into_iter().chain(vec![Answer(502); 15]));
    let persistent = over(&server);
    persistent.send(request("GET", Body::empty())).await.unwrap();
    let all = (0..20).map(|_| persistent.send(request("GET", Body::empty())));
    for answer in join_all(all).await {
        assert_eq!(answer.unwrap().status(), 200);
    }
    // The 15 failures, and one success for each request.
    assert_eq!(server.seen().len(), 1 + 15 + 20);
    let begun = server.seen.lock().unwrap();
    assert!(begun.last().unwrap().0 - begun[0].0 < Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn many_requests_to_a_dead_server_end_soon() {
    let server = Server::with([Answer(200)].into_iter().chain(vec![Answer(503); 100_000]));
    let persistent = over(&server);
    persistent.send(request("GET", Body::empty())).await.unwrap();
    let begin = Instant::now();
    let (mut refused, mut unserved) = (0, 0);
    for _ in 0..250 {
        let four = (0..4).map(|_| persistent.send(request("GET", Body::empty())));
        for result in join_all(four).await {
            match result {
                Ok(answer) => unserved += usize::from(answer.status() == 503),
                Err(error) => refused += usize::from(error.reason.starts_with("not tried")),
            }
        }
    }
    assert_eq!(refused + unserved, 1000);
    assert!(refused > 900, "{refused}");
    assert!(begin.elapsed() < Duration::from_secs(600), "{:?}", begin.elapsed());
    assert!(server.seen().len() < 200, "{}", server.seen().len());
}

#[tokio::test(start_paused = true)]
async fn each_retry_is_told_before_its_pause() {
    let mut headers = HeaderMap::new();
    headers.insert("retry-after", "7".parse().unwrap());
    let server = Server::with([Later(headers), Answer(502)]);
    let told = Arc::new(Mutex::new(Vec::new()));
    let (log, begin) = (Arc::clone(&told), Instant::now());
    let observer = RetryObserver::new(move |notice| {
        log.lock().unwrap().push((begin.elapsed().as_secs(), notice.clone()));
    });
    let persistent = over(&server).observed_by(observer);
    let image = crate::ImageId::random();
    let mut request = request("GET", Body::empty());
    request.extensions_mut().insert(RequestedFor(image.clone()));
    persistent.send(request).await.unwrap();
    let told = told.lock().unwrap();
    let [(0, first), (7, second)] = &told[..] else { panic!("{told:?}") };
    assert!(first.pause >= Duration::from_secs(7) && second.pause < Duration::from_secs(2));
    let pause = Duration::ZERO;
    let reason = "503 Service Unavailable".to_owned();
    let wanted = RetryNotice { image: Some(image), attempt: 2, of: 11, pause, reason };
    assert_eq!(RetryNotice { pause, ..first.clone() }, wanted);
    assert_eq!((second.attempt, second.reason.as_str()), (3, "502 Bad Gateway"));
}
