//! URLs of Glance services on the command line.

use keystone_auth::Cloud;
use url::Url;

use crate::error::CliError;

/// Whether an argument is an http or https URL. The case of the scheme is ignored.
pub(crate) fn is_url(word: &str) -> bool {
    let scheme = word.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    matches!(scheme.as_deref(), Some("https" | "http"))
}

/// Parses the URL of a Glance service and removes a trailing `/v2`.
///
/// # Errors
/// When `text` is not an http or https URL, or contains a user name or a password: Glance does not
/// use them, and the URL is printed and written to replicas.
pub(crate) fn parse(text: &str) -> Result<Url, CliError> {
    let url = Url::parse(text).ok().filter(|url| ["https", "http"].contains(&url.scheme()));
    let Some(mut url) = url else {
        let what = format!("{:?} is not the URL of a server", shown(text));
        return Err(CliError::usage(what).hint("write the URL as https://HOST[:PORT][/PATH]"));
    };
    // The URL parser does not report an empty user name.
    let authority = text.split("//").nth(1).and_then(|rest| rest.split(['/', '?', '#']).next());
    if authority.is_some_and(|authority| authority.contains('@')) || has_user(&url) {
        return Err(CliError::usage("the URL of a Glance contains a user or a password")
            .hint("leave it out, and sign in with a cloud in clouds.yaml or with --token-file"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(CliError::usage("the URL of a Glance contains `?` or `#`")
            .hint("write the URL as https://HOST[:PORT][/PATH]"));
    }
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/v2").unwrap_or(path).trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// The URL for messages and requests, without a trailing slash.
pub(crate) fn text(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

/// The URL of a cloud's Keystone, if its configuration has one.
pub(crate) fn keystone(cloud: &Cloud) -> Option<Url> {
    cloud.auth_url.as_deref().and_then(|url| Url::parse(url).ok())
}

/// An argument that is safe to print: text before an `@` that contains a colon may be a password
/// and is replaced.
pub(crate) fn shown(word: &str) -> String {
    let (kind, rest) = match word.split_once(':') {
        Some((kind @ ("cloud" | "url"), rest)) => (format!("{kind}:"), rest),
        _ => (String::new(), word),
    };
    match rest.rsplit_once('@') {
        Some((before, after)) if before.contains(':') => format!("{kind}...@{after}"),
        _ => word.to_owned(),
    }
}

fn has_user(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_parsed_in_every_spelling() {
        for (typed, expected) in [
            ("https://g:9292", "https://g:9292"),
            ("HTTPS://G:9292/v2/", "https://g:9292"),
            ("HTTP://g/image/v2", "http://g/image"),
            ("http://[::1]:9292//", "http://[::1]:9292"),
            ("https://g/v2x", "https://g/v2x"),
        ] {
            assert!(is_url(typed));
            assert_eq!(text(&parse(typed).unwrap()), expected);
        }
        for wrong in ["https://", "ftp://g", "g", "", "https://g?x", "https://g/#x", "https://@g"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert!(!is_url("httpx://g") && !is_url("http:g") && !is_url("a://http://g"));
    }

    #[test]
    fn a_password_is_not_shown() {
        for (word, expected) in [
            ("admin:hush@host", "...@host"),
            ("url:admin:hush@host", "url:...@host"),
            ("https//me:hu@sh@host", "...@host"),
            ("cloud:a@R", "cloud:a@R"),
            ("a@R", "a@R"),
        ] {
            assert_eq!(shown(word), expected);
        }
    }
}
