//! Option values that contain the contents of a file instead of its path.

/// Describes the contents that a value holds instead of the path of a file; `None` if the value may
/// be a path. A value with contents must not be shown: it may be a private key.
pub fn held_by(value: &str) -> Option<&'static str> {
    let is_pem = value.contains("-----BEGIN ");
    match value {
        _ if is_pem && value.contains("PRIVATE KEY") => Some("the key itself"),
        _ if is_pem && value.contains("CRL") => Some("the revocation list itself"),
        _ if is_pem => Some("the certificate itself"),
        _ if value.contains(['\n', '\r']) => Some("several lines"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_told_from_what_belongs_into_its_file() {
        for (value, held) in [
            ("/etc/ssl/key.pem", None),
            ("a name with -----BEGIN", None),
            ("-----BEGIN PRIVATE KEY-----\nx", Some("the key itself")),
            ("-----BEGIN EC PRIVATE KEY----- x", Some("the key itself")),
            ("  -----BEGIN CERTIFICATE-----\nx", Some("the certificate itself")),
            ("-----BEGIN X509 CRL-----\n", Some("the revocation list itself")),
            ("MIIE\nvQIB", Some("several lines")),
        ] {
            assert_eq!(held_by(value), held, "{value}");
        }
    }
}
