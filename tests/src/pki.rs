//! A private certificate authority that issues valid and deliberately invalid certificates.
//!
//! All keys are ECDSA P-256 and stay in memory; callers that need files write the PEM texts.

use std::time::{SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, Error, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

/// A certificate authority: a root, or an intermediate below one.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
    /// The certificates that a server sends after its own: the intermediates, without the root.
    chain_pem: String,
}

impl Authority {
    /// Creates a new self-signed root.
    pub fn root(common_name: &str) -> Result<Self, Error> {
        let key = KeyPair::generate()?;
        let params = authority_params(common_name)?;
        let certificate_pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate_pem, chain_pem: String::new() })
    }

    /// Creates a new intermediate below this authority.
    pub fn intermediate(&self, common_name: &str) -> Result<Self, Error> {
        let key = KeyPair::generate()?;
        let mut params = authority_params(common_name)?;
        params.use_authority_key_identifier_extension = true;
        let certificate_pem = params.signed_by(&key, &self.issuer)?.pem();
        let chain_pem = format!("{certificate_pem}{}", self.chain_pem);
        Ok(Self { issuer: Issuer::new(params, key), certificate_pem, chain_pem })
    }

    /// The authority's own certificate.
    pub fn pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Issues a server certificate with a new key, signed by this authority.
    pub fn issue(&self, leaf: &Leaf) -> Result<Issued, Error> {
        let key = KeyPair::generate()?;
        let mut params = leaf.params()?;
        params.use_authority_key_identifier_extension = true;
        let leaf_pem = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Issued {
            chain_pem: format!("{leaf_pem}{}", self.chain_pem),
            leaf_pem,
            key_pem: key.serialize_pem(),
        })
    }
}

/// Creates a self-signed server certificate.
pub fn self_signed(leaf: &Leaf) -> Result<Issued, Error> {
    let key = KeyPair::generate()?;
    let leaf_pem = leaf.params()?.self_signed(&key)?.pem();
    Ok(Issued { chain_pem: leaf_pem.clone(), leaf_pem, key_pem: key.serialize_pem() })
}

/// The contents of a server certificate.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// The subject's common name, which today's verifiers ignore.
    pub common_name: String,
    /// The DNS names and IP addresses that the certificate is valid for.
    pub names: Vec<String>,
    /// The validity period.
    pub validity: Validity,
}

impl Leaf {
    /// A currently valid certificate for these DNS names and IP addresses.
    pub fn new(common_name: &str, names: &[&str]) -> Self {
        Self {
            common_name: common_name.to_owned(),
            names: names.iter().map(|&name| name.to_owned()).collect(),
            validity: Validity::Valid,
        }
    }

    /// The same certificate with another validity period.
    #[must_use]
    pub fn with_validity(self, validity: Validity) -> Self {
        Self { validity, ..self }
    }

    fn params(&self) -> Result<CertificateParams, Error> {
        let mut params = CertificateParams::new(self.names.clone())?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, self.common_name.as_str());
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        (params.not_before, params.not_after) = self.validity.period()?;
        Ok(params)
    }
}

/// A validity period, relative to the time of issuing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// The period ended a month ago.
    Expired,
    /// The period begins in a month.
    NotYetValid,
    /// The period lasts from yesterday for two years.
    Valid,
}

impl Validity {
    fn period(self) -> Result<(OffsetDateTime, OffsetDateTime), Error> {
        let now = now()?;
        let (from, until) = match self {
            Self::Expired => (-60, -30),
            Self::NotYetValid => (30, 365),
            Self::Valid => (-1, 730),
        };
        Ok((now + Duration::days(from), now + Duration::days(until)))
    }
}

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub struct Issued {
    /// The certificate and the intermediates above it, as a server should send them.
    pub chain_pem: String,
    /// The certificate alone.
    pub leaf_pem: String,
    /// The private key (PKCS #8).
    pub key_pem: String,
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued").field("chain_pem", &self.chain_pem).finish_non_exhaustive()
    }
}

fn authority_params(common_name: &str) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let now = now()?;
    params.not_before = now - Duration::days(90);
    params.not_after = now + Duration::days(3650);
    Ok(params)
}

/// The current time; the crate `time` is built without its own clock.
fn now() -> Result<OffsetDateTime, Error> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|_| Error::Time)?.as_secs();
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .ok_or(Error::Time)
}
