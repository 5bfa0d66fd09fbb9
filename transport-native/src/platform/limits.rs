//! What a policy can require and native-tls cannot express. Such a policy is refused.

use tls_policy::judge::anchors;
use tls_policy::{TlsPolicy, TlsVersion};
use transport_hyper::TlsSetupError;

/// Refuses a policy that native-tls cannot apply completely.
pub(crate) fn check(policy: &TlsPolicy) -> Result<(), TlsSetupError> {
    match unsupported(policy) {
        None => Ok(()),
        Some(what) => Err(TlsSetupError {
            what: format!("{} {what}; {REMEDY}", super::describe()),
            source: None,
        }),
    }
}

/// The requirement that native-tls does not support, as the end of a sentence.
fn unsupported(policy: &TlsPolicy) -> Option<String> {
    if !policy.revocation.is_empty() {
        return Some("cannot check revocation lists (--crl)".to_owned());
    }
    if cfg!(target_vendor = "apple") && policy.min_version > TlsVersion::V1_2 {
        return Some("does not support TLS 1.3 (--tls-min-version)".to_owned());
    }
    let one = anchors::without_issuer(policy.roots.bundle())?;
    Some(format!(
        "trusts self-signed certificates only, and the trust store does not contain the issuer of the \
         certificate in {one}"
    ))
}

const REMEDY: &str = "use --tls rustls";

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use rcgen::{
        BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
        KeyIdMethod, KeyPair, SerialNumber, date_time_ymd,
    };
    use tls_policy::files::crl;
    use tls_policy::{Certificate, Roots};

    use super::*;

    struct Authority {
        issuer: Issuer<'static, KeyPair>,
        der: Vec<u8>,
    }

    fn issued(name: &str, is_ca: bool, by: Option<&Authority>) -> Authority {
        let mut params = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        if is_ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = match by {
            Some(by) => params.signed_by(&key, &by.issuer),
            None => params.self_signed(&key),
        };
        Authority { der: certificate.unwrap().der().to_vec(), issuer: Issuer::new(params, key) }
    }

    fn policy(trusted: &[&Authority]) -> TlsPolicy {
        let one = |(index, one): (usize, &&Authority)| Certificate {
            der: one.der.clone(),
            file: PathBuf::from("ca.pem"),
            line: index + 1,
        };
        TlsPolicy::new(Roots::Bundle(trusted.iter().enumerate().map(one).collect()))
    }

    fn refusal(policy: &TlsPolicy) -> String {
        check(policy).map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn a_certificate_needs_its_issuer() {
        let root = issued("root", true, None);
        let middle = issued("middle", true, Some(&root));
        let low = issued("low", true, Some(&middle));
        let server = issued("server", false, Some(&root));
        let own = issued("own", false, None);
        for trusted in [&[&root][..], &[&own], &[&middle, &root], &[&low, &middle, &root, &server]]
        {
            assert_eq!(refusal(&policy(trusted)), "");
        }
        for (trusted, line) in
            [(&[&middle][..], 1), (&[&own, &server], 2), (&[&root, &low], 2), (&[&server, &low], 1)]
        {
            let refusal = refusal(&policy(trusted));
            let place = format!("the issuer of the certificate in ca.pem, line {line}; use --tls");
            assert!(refusal.contains(&place), "{refusal}");
        }
    }

    #[test]
    fn revocation_lists_are_not_ignored() {
        let root = issued("root", true, None);
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2190, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), list.signed_by(&root.issuer).unwrap().pem().unwrap()).unwrap();
        let mut policy = policy(&[&root]);
        policy.revocation = crl::load(file.path()).unwrap();
        let refusal = refusal(&policy);
        assert!(refusal.contains("cannot check revocation lists (--crl); use --tls"), "{refusal}");
    }
}
