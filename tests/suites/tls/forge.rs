//! Valid and deliberately invalid certificates, created by rcgen or, where rcgen cannot, by the
//! `openssl` tool.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    PublicKeyData, RevokedCertParams, SerialNumber, date_time_ymd,
};
use tempfile::TempDir;

/// The host name that most tests connect to.
pub(crate) const HOST: &str = "glance.cloud.test";

/// A server's certificate, the certificates above it, and its key, in PEM.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) pem: String,
    pub(crate) above: String,
    pub(crate) key: String,
}

impl Identity {
    /// The same identity, which sends these certificates after its own.
    pub(crate) fn sending(mut self, above: &[&str]) -> Self {
        self.above += &above.concat();
        self
    }
}

/// A certificate authority.
pub(crate) struct Authority {
    pub(crate) pem: String,
    pub(crate) issuer: Issuer<'static, KeyPair>,
}

/// Changes the contents of a certificate.
pub(crate) type Tweak<'a> = &'a dyn Fn(&mut CertificateParams);

/// Leaves a certificate unchanged.
pub(crate) const PLAIN: Tweak<'static> = &|_| {};

impl Authority {
    pub(crate) fn root(name: &str) -> Self {
        Self::root_with(name, PLAIN)
    }

    pub(crate) fn root_with(name: &str, tweak: Tweak<'_>) -> Self {
        Self::with_key(name, tweak, KeyPair::generate().unwrap(), None)
    }

    pub(crate) fn below(&self, name: &str, tweak: Tweak<'_>) -> Self {
        Self::with_key(name, tweak, KeyPair::generate().unwrap(), Some(self))
    }

    /// An authority with this key, which another authority may have too.
    pub(crate) fn with_key(name: &str, tweak: Tweak<'_>, key: KeyPair, by: Option<&Self>) -> Self {
        let mut params = named(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        tweak(&mut params);
        let signed = match by {
            Some(by) => params.signed_by(&key, &by.issuer),
            None => params.self_signed(&key),
        };
        let pem = signed.unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A copy of the authority's key.
    pub(crate) fn key(&self) -> KeyPair {
        KeyPair::from_pem(&self.issuer.key().serialize_pem()).unwrap()
    }

    /// Issues a server certificate with a new key.
    pub(crate) fn issue(&self, names: &[&str], tweak: Tweak<'_>) -> Identity {
        let key = KeyPair::generate().unwrap();
        let pem = self.issue_for(&key, names, tweak);
        Identity { pem, above: String::new(), key: key.serialize_pem() }
    }

    /// Issues a server certificate for an existing key.
    pub(crate) fn issue_for(
        &self,
        key: &impl PublicKeyData,
        names: &[&str],
        tweak: Tweak<'_>,
    ) -> String {
        let mut params = server(names);
        tweak(&mut params);
        params.signed_by(key, &self.issuer).unwrap().pem()
    }

    /// The authority's revocation list with these serial numbers, in PEM.
    pub(crate) fn list(&self, revoked: &[u8]) -> String {
        list(revoked).signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

/// A self-signed server certificate with a new key.
pub(crate) fn self_signed(names: &[&str], tweak: Tweak<'_>) -> Identity {
    self_signed_by(&KeyPair::generate().unwrap(), names, tweak)
}

/// A self-signed server certificate with this key.
pub(crate) fn self_signed_by(key: &KeyPair, names: &[&str], tweak: Tweak<'_>) -> Identity {
    let mut params = server(names);
    tweak(&mut params);
    let pem = params.self_signed(key).unwrap().pem();
    Identity { pem, above: String::new(), key: key.serialize_pem() }
}

fn server(names: &[&str]) -> CertificateParams {
    let mut params = named("the server", names);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.serial_number = Some(SerialNumber::from(7_u64));
    params
}

fn named(name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    params
}

pub(crate) fn list(revoked: &[u8]) -> CertificateRevocationListParams {
    let revoked = revoked.iter().map(|number| RevokedCertParams {
        serial_number: SerialNumber::from(u64::from(*number)),
        revocation_time: date_time_ymd(2025, 1, 1),
        reason_code: None,
        invalidity_date: None,
    });
    CertificateRevocationListParams {
        this_update: date_time_ymd(2025, 1, 1),
        next_update: date_time_ymd(2200, 1, 1),
        crl_number: SerialNumber::from(1_u64),
        issuing_distribution_point: None,
        revoked_certs: revoked.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    }
}

/// The `openssl` tool, with a working directory.
pub(crate) struct Tool(TempDir);

impl Tool {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        // The system's configuration would add further extensions.
        fs::write(directory.path().join("cnf"), "[req]\ndistinguished_name = dn\n[dn]\n").unwrap();
        Self(directory)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap()
    }

    /// Runs `openssl` with these arguments, and returns its output.
    pub(crate) fn run(&self, line: &str) -> String {
        let mut command = Command::new("openssl");
        command.args(line.split_whitespace()).current_dir(self.path());
        let Output { status, stdout, stderr } =
            command.env("OPENSSL_CONF", "cnf").output().expect("openssl is not installed");
        assert!(status.success(), "openssl {line}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap()
    }

    /// A self-signed certificate with the key in the file `key`.
    pub(crate) fn root(&self, key: &str, name: &str, more: &str) -> String {
        self.run(&format!("req -x509 -new -config cnf -key {key} -subj /CN={name} -days 30 {more}"))
    }

    /// A server certificate for the key in the file `key`, signed by the CA in `ca` and `ca.key`.
    pub(crate) fn issue(&self, key: &str, more: &str) -> String {
        self.root(key, "server", &format!("-addext {SAN} -CA ca -CAkey ca.key {more}"))
    }

    pub(crate) fn rsa(&self, bits: u16, file: &str) -> String {
        self.run(&format!(
            "genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:{bits} -out {file}"
        ));
        self.read(file)
    }
}

/// The extension that makes a certificate valid for [`HOST`].
pub(crate) const SAN: &str = "subjectAltName=DNS:glance.cloud.test";
