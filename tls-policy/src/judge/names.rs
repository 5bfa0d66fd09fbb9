//! The host names of a certificate (RFC 9525, 6.3), for TLS libraries that compare other names, too.

use std::net::IpAddr;

use x509_cert::ext::pkix::name::GeneralName;

use crate::x509::certificate::Known;

/// Whether a subject alternative name of the certificate is `host`, a DNS name or an IP address. The
/// common name is ignored.
pub(crate) fn is_for(one: &Known, host: &str) -> bool {
    let names = one.general_names().unwrap_or_default();
    match host.parse::<IpAddr>() {
        Ok(address) => names.iter().any(|name| is_address(name, address)),
        Err(_) => names.iter().any(|name| is_name(name, host)),
    }
}

fn is_address(name: &GeneralName, address: IpAddr) -> bool {
    let GeneralName::IpAddress(bytes) = name else { return false };
    match address {
        IpAddr::V4(address) => bytes.as_bytes() == address.octets(),
        IpAddr::V6(address) => bytes.as_bytes() == address.octets(),
    }
}

/// A wildcard is a whole label and stands for exactly one label.
fn is_name(name: &GeneralName, host: &str) -> bool {
    let GeneralName::DnsName(name) = name else { return false };
    let below = name.as_str().strip_prefix("*.");
    let parent = host.split_once('.').map(|(_, parent)| parent);
    match (below, parent) {
        (Some(below), Some(parent)) => below.eq_ignore_ascii_case(parent),
        (Some(_), None) => false,
        (None, _) => name.as_str().eq_ignore_ascii_case(host),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn certificate(names: &[&str]) -> Known {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, "common.test");
        let name = |name: &&str| match name.parse() {
            Ok(ip) => SanType::IpAddress(ip),
            Err(_) => SanType::DnsName((*name).try_into().unwrap()),
        };
        params.subject_alt_names = names.iter().map(name).collect();
        let key = KeyPair::generate().unwrap();
        Known::read(params.self_signed(&key).unwrap().der()).unwrap()
    }

    #[test]
    fn only_alternative_names_count_and_a_wildcard_is_one_label() {
        let names = ["a.test", "*.b.test", "c*.test", "10.0.0.1", "::1"];
        let one = certificate(&names);
        for host in ["a.test", "A.TEST", "x.b.test", "X.B.test", "10.0.0.1", "::1", "0:0::1"] {
            assert!(is_for(&one, host), "{host}");
        }
        for host in
            ["common.test", "b.test", "x.y.b.test", "cd.test", "a.test.", "10.0.0.2", "::2", "test"]
        {
            assert!(!is_for(&one, host), "{host}");
        }
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::DnsName("10.0.0.1".try_into().unwrap())];
        let key = KeyPair::generate().unwrap();
        let one = Known::read(params.self_signed(&key).unwrap().der()).unwrap();
        assert!(!is_for(&one, "10.0.0.1"));
    }
}
