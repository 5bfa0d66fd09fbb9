//! Client certificates in every form, with servers that require one.

use std::path::PathBuf;

use rcgen::ExtendedKeyUsagePurpose::ClientAuth;
use secrecy::SecretString;
use tls_policy::client_cert::ClientIdentity;
use tls_policy::{Roots, TlsFileError, TlsPolicy};
use transport_hyper::ClientOptions;

use crate::suites::tls::forge::{Authority, HOST, Identity, PLAIN, Tool};
use crate::suites::tls::row::{Row, STACKS, accepted, certificates, check, refused};

/// A server that requires a client certificate, and the client's files.
pub(crate) struct Case {
    pub(crate) tool: Tool,
    pub(crate) ca: Authority,
    pub(crate) server: Identity,
}

impl Case {
    /// `ca.pem` signed `client.pem` for the key in `client.key`, and `rsa.pem` for `rsa.key`.
    pub(crate) fn new() -> Self {
        let (tool, ca) = (Tool::new(), Authority::root("the CA"));
        let server = ca.issue(&[HOST, "127.0.0.1"], PLAIN);
        let client = ca.issue(&[], &|params| params.extended_key_usages = vec![ClientAuth]);
        tool.write("ca.pem", &ca.pem);
        tool.write("client.pem", &client.pem);
        tool.write("client.key", &client.key);
        Self { tool, ca, server }
    }

    fn with_rsa(self) -> Self {
        let key = rcgen::KeyPair::from_pem(&self.tool.rsa(2048, "rsa.key")).unwrap();
        let client = |params: &mut rcgen::CertificateParams| {
            params.extended_key_usages = vec![ClientAuth];
        };
        self.tool.write("rsa.pem", &self.ca.issue_for(&key, &[], &client));
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.tool.path().join(name)
    }

    pub(crate) fn load(
        &self,
        certificate: &str,
        key: &str,
    ) -> Result<ClientIdentity, TlsFileError> {
        self.load_with(certificate, key, "the passphrase")
    }

    fn load_with(
        &self,
        certificate: &str,
        key: &str,
        passphrase: &str,
    ) -> Result<ClientIdentity, TlsFileError> {
        let key = (key != certificate).then(|| self.path(key));
        let passphrase = SecretString::from(passphrase);
        ClientIdentity::load(&self.path(certificate), key.as_deref(), &|_| Ok(passphrase.clone()))
    }

    fn insisting(&self, row: Row) -> Row {
        let ca = self.path("ca.pem");
        row.served_with(&format!("-Verify 2 -verify_return_error -CAfile {}", ca.display()))
    }

    fn accepts(&self, name: &'static str, certificate: &str, key: &str) -> Row {
        let identity = self.load(certificate, key).unwrap();
        let row = self.insisting(accepted(name, &self.server, &[&self.ca.pem]));
        row.under(|policy| policy.identity = Some(identity))
    }

    fn refuses(
        &self,
        name: &'static str,
        version: &str,
        identity: Option<ClientIdentity>,
        words: &[&str],
    ) -> Row {
        let ca = self.path("ca.pem");
        let row = refused(name, &self.server, &[&self.ca.pem], words);
        row.served_with(&format!(
            "{version} -Verify 2 -verify_return_error -CAfile {}",
            ca.display()
        ))
        .under(|policy| policy.identity = identity)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_of_keys() {
    let case = Case::new().with_rsa();
    let tool = &case.tool;

    let seal = "pkcs8 -topk8 -passout pass:secret";
    tool.run("ec -in client.key -out sec1.key");
    tool.run("rsa -in rsa.key -traditional -out pkcs1.key");
    tool.run(&format!("{seal} -in client.key -out sealed.key"));
    tool.run(&format!("{seal} -in rsa.key -out sealed-rsa.key"));
    tool.run(&format!("{seal} -scrypt -in client.key -out scrypt.key"));
    tool.write("both.pem", &(tool.read("client.key") + &tool.read("client.pem")));
    tool.write("with-params.key", &(EC_PARAMETERS.to_owned() + &tool.read("sec1.key")));
    assert!(tool.read("sec1.key").contains("BEGIN EC PRIVATE KEY"));
    assert!(tool.read("pkcs1.key").contains("BEGIN RSA PRIVATE KEY"));
    assert!(tool.read("sealed.key").contains("BEGIN ENCRYPTED PRIVATE KEY"));
    let sealed = |name, certificate, key| {
        let identity = case.load_with(certificate, key, "secret").unwrap();
        case.accepts(name, "client.pem", "client.key")
            .under(|policy| policy.identity = Some(identity))
    };
    check(vec![
        case.accepts("pkcs8", "client.pem", "client.key"),
        case.accepts("pkcs8_rsa", "rsa.pem", "rsa.key"),
        case.accepts("sec1", "client.pem", "sec1.key"),
        case.accepts("sec1_with_parameters", "client.pem", "with-params.key"),
        case.accepts("pkcs1", "rsa.pem", "pkcs1.key"),
        case.accepts("both_in_one_file", "both.pem", "both.pem"),
        sealed("encrypted", "client.pem", "sealed.key"),
        sealed("encrypted_rsa", "rsa.pem", "sealed-rsa.key"),
        sealed("encrypted_scrypt", "client.pem", "scrypt.key"),
    ])
    .await;
}

/// The text that `openssl ecparam -genkey` writes before the key: the curve P-256.
const EC_PARAMETERS: &str =
    "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";

#[tokio::test(flavor = "multi_thread")]
async fn chains_of_clients() {
    let case = Case::new();
    let middle = case.ca.below("the clients' CA", PLAIN);
    let client = middle.issue(&[], &|params| params.extended_key_usages = vec![ClientAuth]);
    case.tool.write("chain.pem", &(client.pem + &middle.pem));
    case.tool.write("chain.key", &client.key);
    check(vec![case.accepts("client_chain", "chain.pem", "chain.key")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_insist() {
    let case = Case::new();
    let stranger = Authority::root("a stranger");
    let wrong = stranger.issue(&[], &|params| params.extended_key_usages = vec![ClientAuth]);
    case.tool.write("wrong.pem", &wrong.pem);
    case.tool.write("wrong.key", &wrong.key);
    let wrong = || Some(case.load("wrong.pem", "wrong.key").unwrap());
    let missing = "the server asked for a client certificate, but got none";
    let not_taken = &["rejected the client certificate", "unknown ca"][..];
    check(vec![
        case.refuses("missing_12", "-tls1_2", None, &[missing, "handshake failure"]),
        case.refuses("missing_13", "-tls1_3", None, &[missing, "certificate required"]),
        case.refuses("wrong_12", "-tls1_2", wrong(), not_taken),
        case.refuses("wrong_13", "-tls1_3", wrong(), not_taken),
    ])
    .await;
}

/// Deliberate difference: rustls refuses a key encrypted with DES and names the remedy; OpenSSL
/// reads the key.
fn old_ciphers(case: &Case) {
    for key in ["des3.key", "des.key"] {
        let mut policy = TlsPolicy::new(Roots::Bundle(certificates(&case.ca.pem)));
        policy.identity = Some(case.load_with("client.pem", key, "secret").unwrap());
        for stack in STACKS {
            let outcome = (stack.transport)(&policy, ClientOptions::default()).map(drop);
            let said = outcome.map_or_else(|error| error.to_string(), |()| String::new());
            let asks = said.contains("does not support the encryption")
                && said.contains("openssl pkcs8 -topk8");
            let cannot = stack.name == "rustls" || stack.is_limited();
            assert_eq!(!said.is_empty(), cannot, "{key} ({}): {said}", stack.name);
            assert_eq!(asks, stack.name == "rustls", "{key} ({}): {said}", stack.name);
        }
    }
}

#[test]
fn keys_that_can_not_be_used() {
    let case = Case::new().with_rsa();
    let tool = &case.tool;
    tool.run("ec -in client.key -aes128 -passout pass:secret -out old.key");
    tool.run("pkcs8 -topk8 -passout pass:secret -in client.key -out sealed.key");
    tool.run("pkcs8 -topk8 -v2 des3 -passout pass:secret -in client.key -out des3.key");
    tool.run("pkcs8 -topk8 -v1 PBE-SHA1-3DES -passout pass:secret -in client.key -out des.key");
    tool.write("none.key", "");
    let said = |result: Result<ClientIdentity, TlsFileError>| result.unwrap_err().to_string();
    let old = said(case.load("client.pem", "old.key"));
    assert!(old.contains("legacy format") && old.contains("openssl pkcs8 -topk8"), "{old}");
    assert!(said(case.load("client.pem", "none.key")).contains("no private key found"));
    assert!(said(case.load("client.pem", "ca.pem")).contains("no private key found"));
    assert!(said(case.load("client.key", "client.key")).contains("only PRIVATE KEY"));
    assert!(said(case.load("client.pem", "absent.key")).contains("cannot read"));
    let empty = said(case.load_with("client.pem", "sealed.key", ""));
    assert!(empty.contains("passphrase"), "{empty}");

    let setup = |identity: ClientIdentity| {
        let mut policy = TlsPolicy::new(Roots::Bundle(certificates(&case.ca.pem)));
        policy.identity = Some(identity);
        let all = STACKS.iter().map(|stack| {
            (stack.transport)(&policy, ClientOptions::default()).unwrap_err().to_string()
        });
        let all: Vec<String> = all.collect();
        assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "the stacks differ: {all:#?}");
        all[0].clone()
    };
    let mismatch = setup(case.load("client.pem", "rsa.key").unwrap());
    assert!(mismatch.contains("rsa.key does not belong to the client certificate"), "{mismatch}");
    let wrong = setup(case.load_with("client.pem", "sealed.key", "wrong").unwrap());
    assert!(wrong.contains("the passphrase does not decrypt the key in"), "{wrong}");
    old_ciphers(&case);
    tool.write("garbage.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    let garbage = setup(case.load("client.pem", "garbage.key").unwrap());
    assert!(
        garbage.starts_with("cannot use the key in ") && garbage.contains("garbage.key"),
        "{garbage}"
    );
}
