//! The meaning of Glance's status codes.

use http::StatusCode;

use glance_core::store::StoreErrorKind;
use glance_core::transport::ClientCertificate;

/// The meaning of a status code.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) kind: StoreErrorKind,
    pub(super) reason: String,
    pub(super) hint: Option<String>,
}

/// Interprets a rejected `operation`; `body` is the HTML page that Glance sends with it.
pub(super) fn explain(status: StatusCode, operation: &str, body: &[u8]) -> Refusal {
    let (kind, hint) = match status.as_u16() {
        400 => (StoreErrorKind::Invalid, None),
        // The hints for these depend on the credentials.
        401 => (StoreErrorKind::Unauthenticated, None),
        403 => (StoreErrorKind::Forbidden, None),
        // Two concurrent uploads to one record: Glance tells the second one that the image could
        // not be found (`image_data.py` has a single answer for `Conflict` and `ImageNotFound`),
        // although it exists.
        410 if operation == UPLOAD => (StoreErrorKind::Conflict, None),
        404 if operation == LIST => (StoreErrorKind::NotFound, Some(NOT_GLANCE)),
        404 | 410 => (StoreErrorKind::NotFound, None),
        409 if operation == CREATE => (StoreErrorKind::IdTaken, Some(BURNED)),
        409 => (StoreErrorKind::Conflict, None),
        413 => (StoreErrorKind::LimitReached, Some(QUOTA)),
        415 => (StoreErrorKind::Rejected, Some(FORMAT)),
        416 => (StoreErrorKind::Range, None),
        429 => (StoreErrorKind::Server, Some(SLOWER)),
        500..=599 => (StoreErrorKind::Server, Some(LATER)),
        300..=499 => (StoreErrorKind::Server, Some(NOT_GLANCE)),
        _ => (StoreErrorKind::Server, None),
    };
    let said = plain_text(body);
    let reason = match said.is_empty() {
        true => format!("{status}"),
        false => format!("{status}: {said}"),
    };
    Refusal { kind, reason, hint: hint.map(str::to_owned) }
}

/// The hint if the server rejects the client certificate: some servers complete every handshake,
/// and report a missing or wrong client certificate by a status code (nginx: 400).
pub(super) fn of_the_client(asked: Option<ClientCertificate>, reason: &str) -> Option<String> {
    asked.filter(|_| reason.contains("certificate")).map(|asked| asked.hint().to_owned())
}

/// The text of an HTML page without its title, shortened to a readable length.
fn plain_text(html: &[u8]) -> String {
    let html = String::from_utf8_lossy(html);
    let body = html.split_once("<body>").map_or(&*html, |(_, body)| body);
    let body = body.split_once("</h1>").map_or(body, |(_, rest)| rest);
    let mut text = String::new();
    let mut in_tag = false;
    for character in body.chars() {
        match character {
            '<' => in_tag = true,
            '>' if in_tag => {
                in_tag = false;
                text.push(' ');
            }
            _ if in_tag => {}
            // Drop control characters: a server must not control the operator's terminal.
            control if control.is_control() && !control.is_whitespace() => {}
            other => text.push(other),
        }
    }
    let entities =
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#x27;", "'"), ("&amp;", "&")];
    for (entity, character) in entities {
        text = text.replace(entity, character);
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut said: String = words.join(" ").chars().take(SAID_LIMIT + 1).collect();
    if said.chars().count() > SAID_LIMIT {
        said.pop();
        said.push('…');
    }
    said
}

/// Operations for which a status code has a special meaning.
pub(super) const CREATE: &str = "create the record";
pub(super) const LIST: &str = "list the images";
pub(super) const UPLOAD: &str = "store the data";

const SAID_LIMIT: usize = 300;
const BURNED: &str = "ask the administrator to free the id with `glance-manage db purge_images_table`: \
    Glance keeps the ids of deleted images; an image that these credentials cannot see may also \
    have this id";
const QUOTA: &str = "ask the target's administrator for a larger quota, or free some space";
const FORMAT: &str = "delete the record at the target before a retry, because Glance keeps the failed \
    upload: the data does not match the record's disk_format, or is unsafe (a backing file)";
const LATER: &str = "run the command again later; if the server fails again, read its log and the log of the \
    proxies in front of it";
const NOT_GLANCE: &str = "check that this is the address of a Glance v2 API";
const SLOWER: &str = "run the command again with fewer requests per second (--tpslimit)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_refusal_are_found_in_its_page() {
        let page = b"<html>\n <head>\n  <title>403 Forbidden</title>\n </head>\n <body>\n  \
            <h1>403 Forbidden</h1>\n  You&#x27;re not &lt;allowed&gt;.<br /><br />\n </body>\n</html>";
        let refusal = explain(StatusCode::FORBIDDEN, UPLOAD, page);
        assert_eq!(refusal.reason, "403 Forbidden: You're not <allowed>.");
        assert_eq!(refusal.kind, StoreErrorKind::Forbidden);
    }

    #[test]
    fn a_page_cannot_steer_the_terminal() {
        assert_eq!(plain_text(b"<body>a\x1b[2J\x07\nb"), "a[2J b");
    }

    #[test]
    fn a_conflict_on_creation_is_a_taken_id_and_elsewhere_a_state() {
        let kind = |operation| explain(StatusCode::CONFLICT, operation, b"").kind;
        assert_eq!(kind(CREATE), StoreErrorKind::IdTaken);
        assert_eq!(kind(UPLOAD), StoreErrorKind::Conflict);
    }

    #[test]
    fn a_record_that_is_gone_after_an_upload_may_be_there() {
        let kind = |operation| explain(StatusCode::GONE, operation, b"").kind;
        assert_eq!(kind(UPLOAD), StoreErrorKind::Conflict);
        assert_eq!(kind("read the data"), StoreErrorKind::NotFound);
    }
}
