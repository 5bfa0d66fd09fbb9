//! Files in other formats than PEM, and unusable certificates. The tool names each at its start,
//! with a remedy.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{CustomExtension, IsCa, KeyUsagePurpose, SerialNumber};
use tls_policy::files::crl;
use tls_policy::{ClientIdentity, bundle, resolve};

use crate::suites::tls::forge::{Authority, HOST, PLAIN, Tool, Tweak, self_signed};
use crate::suites::tls::row::STACKS;
use crate::suites::tls::rows::names::{critical, early, old};
use crate::support::common::replicator_with;

/// The remedy in the error message converts the file into one that can be read.
#[test]
fn suggested_commands_repair_damaged_bundles() {
    let (tool, ca) = (Tool::new(), Authority::root("the CA").pem);
    tool.write("ca.pem", &ca);
    let right = bundle::load(&tool.path().join("ca.pem")).unwrap().remove(0).der;
    let base64 = tool.shell("base64 -w0 ca.pem");
    let utf16 = |unit: fn(u16) -> [u8; 2]| -> Vec<u8> {
        format!("\u{feff}{ca}").encode_utf16().flat_map(unit).collect()
    };
    let escaped = ca.replace('\n', "\\n");
    for (form, words, bytes) in [
        ("one_line", "line breaks are missing", ca.replace('\n', " ").into_bytes()),
        ("no_breaks", "line breaks are missing", ca.replace('\n', "").into_bytes()),
        ("glued", "line breaks are missing", ca.repeat(2).replace("-\n-", "--").into_bytes()),
        ("escaped", "the line breaks are written as \\n", escaped.clone().into_bytes()),
        ("quoted", "the line breaks are written as \\n", format!("\"{escaped}\"").into_bytes()),
        (
            "indented",
            "blanks before BEGIN",
            ca.replace("--\n", "--\n  ").replace("-----B", "\t-----B").into_bytes(),
        ),
        ("mac", "carriage returns", ca.replace('\n', "\r").into_bytes()),
        ("base64", "this is base64-encoded PEM", base64.into_bytes()),
        ("little_endian", "this is UTF-16", utf16(u16::to_le_bytes)),
        ("big_endian", "this is UTF-16", utf16(u16::to_be_bytes)),
        (
            "pkcs7",
            "this is PKCS #7",
            tool.bytes("openssl crl2pkcs7 -nocrl -certfile ca.pem -outform DER"),
        ),
        ("pkcs7_pem", "this is PKCS #7", tool.bytes("openssl crl2pkcs7 -nocrl -certfile ca.pem")),
    ] {
        let path = tool.path().join(form);
        fs::write(&path, bytes).unwrap();
        let said = bundle::load(&path).unwrap_err().to_string();
        assert!(said.contains(words), "{form}: no {words:?} in {said}");
        tool.cure(&said, form);
        let cured = bundle::load(&tool.path().join("cured")).unwrap();
        assert!(cured.iter().all(|one| one.der == right), "{form}");
    }
}

#[test]
fn other_files_for_certificates() {
    let (tool, ca) = (Tool::new(), Authority::root("the CA"));
    tool.write("ca.pem", &ca.pem);
    tool.write("ca.key", &ca.key().serialize_pem());
    let flat: String = ca.pem.lines().filter(|line| !line.contains('-')).collect();
    let dashed = ca.pem.replace("-----", "\u{2014}-");
    let der = tool.bytes("openssl x509 -in ca.pem -outform DER");
    let numbered = Authority::root_with("the CA", &|params| {
        params.serial_number = Some(SerialNumber::from_slice(&[0x55; 22]));
    });
    for (form, words, bytes) in [
        ("number", "the serial number has 22 octets (limit 20)", numbered.pem.into_bytes()),
        ("empty", "the file is empty", Vec::new()),
        ("blank", "the file is empty", b"\n \n".to_vec()),
        ("page", "this is a web page", b"<!DOCTYPE html><html>404</html>".to_vec()),
        ("no_lines", "this is base64 without BEGIN and END", flat.into_bytes()),
        ("dashes", "five hyphens", dashed.into_bytes()),
        ("four", "five hyphens", ca.pem.replace("-----", "----").into_bytes()),
        ("ends", "END CERTIFICATE has no BEGIN", b"-----END CERTIFICATE-----".to_vec()),
        (
            "mixed",
            "END X509 CRL does not match BEGIN",
            ca.pem.replace("END CERTIFICATE", "END X509 CRL").into_bytes(),
        ),
        (
            "pkcs12",
            "pkcs12 -in FILE -nokeys -out NEW",
            tool.bytes("openssl pkcs12 -export -nokeys -in ca.pem -passout pass:"),
        ),
        ("jks", "keytool -list -rfc -keystore FILE > NEW", b"\xfe\xed\xfe\xed\0\0\0\x02".to_vec()),
        (
            "key",
            "this is a private key in DER",
            tool.bytes("openssl pkcs8 -topk8 -nocrypt -in ca.key -outform DER"),
        ),
        (
            "request",
            "a certificate request",
            tool.bytes("openssl req -new -config cnf -key ca.key -subj /CN=a -outform DER"),
        ),
        ("ssh", "an SSH public key", b"ssh-ed25519 AAAA".to_vec()),
        ("cut", "9 bytes are missing at the end", der[..der.len() - 9].to_vec()),
        ("long", "2 extra bytes follow", [&der[..], b"\r\n"].concat()),
    ] {
        let path = tool.path().join(form);
        fs::write(&path, bytes).unwrap();
        let said = bundle::load(&path).unwrap_err().to_string();
        assert!(said.contains(words), "{form}: no {words:?} in {said}");
    }
}

#[test]
fn other_files_for_identities_and_revocation_lists() {
    let (tool, ca) = (Tool::new(), Authority::root("the CA"));
    tool.write("ca.pem", &ca.pem);
    let own = self_signed(&[HOST], PLAIN);
    tool.write("own.pem", &format!("{}{}", own.pem, own.key));
    let pkcs12 = tool.bytes("openssl pkcs12 -export -in own.pem -passout pass:");
    fs::write(tool.path().join("own.p12"), pkcs12).unwrap();
    let said = load_identity(&tool, "own.p12", "own.p12").unwrap_err();
    assert!(said.contains("convert it to PEM with `openssl pkcs12 -in FILE -out NEW`"), "{said}");
    let said = load_identity(&tool, "own.pem", "own.p12").unwrap_err();
    assert!(
        said.contains("convert it to PEM with `openssl pkcs12 -in FILE -nocerts -out NEW`"),
        "{said}"
    );
    let said = crl::load(&tool.path().join("ca.pem")).unwrap_err().to_string();
    assert!(said.contains("no revocation list (X509 CRL) found, only CERTIFICATE"), "{said}");
    tool.run("x509 -in ca.pem -outform DER -out ca.der");
    let said = crl::load(&tool.path().join("ca.der")).unwrap_err().to_string();
    assert!(
        said.contains("not a revocation list, or the list is damaged; this is a certificate"),
        "{said}"
    );
}

#[test]
fn other_files_for_keys() {
    let (tool, own) = (Tool::new(), self_signed(&[HOST], PLAIN));
    tool.write("own.pem", &own.pem);
    tool.write("own.key", &own.key);
    let block = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
    let der = |how: &str| tool.bytes(&format!("openssl {how} -in own.key -outform DER"));
    for (form, words, bytes) in [
        ("openssh", "ssh-keygen -p -m PKCS8 -f FILE", block("OPENSSH PRIVATE KEY").into_bytes()),
        ("putty", "PuTTYgen", b"PuTTY-User-Key-File-3: ssh-rsa".to_vec()),
        ("dsa", "a DSA key", block("DSA PRIVATE KEY").into_bytes()),
        ("public", "no private key found, only PUBLIC KEY", block("PUBLIC KEY").into_bytes()),
        ("parameters", "only EC PARAMETERS", block("EC PARAMETERS").into_bytes()),
        ("swapped", "no private key found, only CERTIFICATE", own.pem.clone().into_bytes()),
        (
            "certificate",
            "no private key found; this is a certificate",
            tool.bytes("openssl x509 -in own.pem -outform DER"),
        ),
        ("jks", "-deststoretype PKCS12", b"\xfe\xed\xfe\xed\0\0\0\x02".to_vec()),
        ("pkcs8", "`openssl pkey -inform DER -in FILE -out NEW`", der("pkcs8 -topk8 -nocrypt")),
        ("sec1", "`openssl pkey -inform DER -in FILE -out NEW`", der("ec")),
    ] {
        fs::write(tool.path().join(form), bytes).unwrap();
        let said = load_identity(&tool, "own.pem", form).unwrap_err();
        assert!(said.contains(words), "{form}: no {words:?} in {said}");
        if ["pkcs8", "sec1"].contains(&form) {
            tool.cure(&said, form);
            load_identity(&tool, "own.pem", "cured").unwrap();
        }
    }
}

fn load_identity(tool: &Tool, certificate: &str, key: &str) -> Result<ClientIdentity, String> {
    let path = |name: &str| tool.path().join(name);
    ClientIdentity::load(&path(certificate), Some(&path(key)), &|_| unreachable!())
        .map_err(|error| error.to_string())
}

/// A certificate that can be neither an authority nor a listed server is an error if the bundle has
/// no other.
#[test]
fn certificates_of_no_use() {
    let tool = Tool::new();
    let not_der = |params: &mut rcgen::CertificateParams| {
        params.is_ca = IsCa::NoCa;
        params.custom_extensions =
            vec![CustomExtension::from_oid_content(&[2, 5, 29, 19], vec![0x30, 3, 1, 1, 1])];
    };
    let only_lists = |params: &mut rcgen::CertificateParams| {
        params.key_usages = vec![KeyUsagePurpose::CrlSign];
    };
    let for_clients = |params: &mut rcgen::CertificateParams| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    };
    let rows: [(&str, Tweak<'_>); 8] = [
        ("has basicConstraints that are not DER (in DER, TRUE is FF, not 01)", &not_der),
        ("is not marked as a CA (no basicConstraints)", &|p| p.is_ca = IsCa::NoCa),
        ("is not a CA (CA:FALSE)", &|p| p.is_ca = IsCa::ExplicitNoCa),
        ("must not sign certificates (key usage)", &only_lists),
        ("is not valid for servers (extended key usage)", &for_clients),
        ("expired on 2002-02-03T00:00:00Z", &old),
        ("is not valid before 2190-01-02T00:00:00Z", &early),
        ("has an unsupported critical extension (1.2.3.4)", &critical),
    ];
    let good = Authority::root("good").pem;
    for (words, tweak) in rows {
        let bad = Authority::root_with("bad", tweak).pem;
        let path = bundle_of(&tool, &bad);
        let said = resolve(&[("--cacert", Some(path.clone()))], &|_| None).unwrap_err().to_string();
        let start = format!("{}, line 1: unusable certificate: CN=bad {words}", path.display());
        assert!(said.starts_with(&start), "no {start:?} in {said}");
        let path = bundle_of(&tool, &bad.repeat(2));
        assert!(resolve(&[("--cacert", Some(path))], &|_| None).is_err(), "{words}");
        let both = bundle_of(&tool, &format!("{bad}{}", Authority::root_with("bad", tweak).pem));
        let said = resolve(&[("--cacert", Some(both))], &|_| None).unwrap_err().to_string();
        assert!(
            said.contains(&format!("all 2 certificates are unusable; the first: CN=bad {words}")),
            "{said}"
        );
        let path = bundle_of(&tool, &format!("{good}{bad}"));
        resolve(&[("--cacert", Some(path))], &|_| None).unwrap();
    }
    // A server's own certificate may be listed for a name that it covers.
    let path = bundle_of(&tool, &self_signed(&[HOST], PLAIN).pem);
    resolve(&[("--cacert", Some(path))], &|_| None).unwrap();
}

fn bundle_of(tool: &Tool, pem: &str) -> PathBuf {
    tool.write("bundle.pem", pem);
    tool.path().join("bundle.pem")
}

/// The tool warns about each unusable certificate once for both sides, and fails if no other is
/// left.
#[test]
fn the_tool_warns_about_unusable_certificates_at_its_start() {
    let tool = Tool::new();
    let good = Authority::root("good").pem;
    let (bad, lines) = (Authority::root_with("bad", &old).pem, good.lines().count());
    tool.write("both.pem", &format!("{good}{bad}"));
    tool.write("bad.pem", &bad);
    let line = format!(
        "both.pem, line {}: unusable certificate: CN=bad expired on 2002-02-03T00:00:00Z; \
         replace or remove it",
        lines + 1
    );
    for stack in STACKS {
        let ask = |bundle: &str| {
            let path = tool.path().join(bundle);
            let path = path.to_str().unwrap().to_owned();
            let [from, to] = ["https://127.0.0.1:1", "https://127.0.0.1:2"];
            replicator_with(&["compare", from, to, "--cacert", &path, "--tls", stack.name], &[])
        };
        let run = ask("both.pem").exits(4);
        assert_eq!(run.stderr.matches(&line).count(), 1, "{}", run.stderr);
        let run = ask("bad.pem").exits(2);
        assert!(run.stderr.contains("CN=bad expired on 2002-02-03"), "{}", run.stderr);
    }
}

/// Files in a directory whose names are not those of certificates.
#[test]
fn skipped_files_of_a_directory_are_reported() {
    let (tool, ca) = (Tool::new(), Authority::root("the CA").pem);
    let directory = |name: &str, files: &[(&str, &str)]| {
        let path = tool.path().join(name);
        fs::create_dir(&path).unwrap();
        for (name, text) in files {
            fs::write(path.join(name), text).unwrap();
        }
        path
    };
    let only = |path: &Path| {
        let said = bundle::load(path).unwrap_err().to_string();
        said.strip_prefix(&format!("{}: ", path.display())).unwrap().to_owned()
    };
    let names = "the directory has no file named *.pem, *.crt, *.cer or *.0";
    let secret = directory("secret", &[("ca-bundle", &ca)]);
    assert_eq!(only(&secret), format!("{names}; skipped: ca-bundle"));
    let upper = directory("upper", &[("CA.PEM", &ca), ("B\u{1b}[2J", &ca)]);
    assert_eq!(only(&upper), format!("{names}; skipped: B\\u{{1b}}[2J, CA.PEM"));
    assert_eq!(only(&directory("empty", &[])), names);
    let many: Vec<String> = (0..10).map(|number| format!("file-{number}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "")).collect();
    assert!(only(&directory("many", &many)).ends_with("file-7 and 2 more"));
    let mixed =
        directory("mixed", &[("a.pem", &ca), ("other-ca", &ca), ("README", ""), ("b.crt", "")]);
    for stack in STACKS {
        let path = mixed.to_str().unwrap();
        let url = "https://127.0.0.1:1";
        let run =
            replicator_with(&["size", url, "--cacert", path, "--tls", stack.name], &[]).exits(4);
        let says =
            |words: &str| assert!(run.stderr.contains(words), "no {words:?} in {}", run.stderr);
        says("rename files with certificates to *.pem, *.crt, *.cer or *.0; skipped: other-ca\n");
        says("b.crt: no certificate found; the file is empty; the file was skipped");
    }
}

impl Tool {
    /// The output of a shell command.
    fn bytes(&self, line: &str) -> Vec<u8> {
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(self.path()).env("OPENSSL_CONF", "cnf");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn shell(&self, line: &str) -> String {
        String::from_utf8(self.bytes(line)).unwrap()
    }

    /// Applies the remedy in an error message to a file, and writes the result to `cured`.
    fn cure(&self, said: &str, file: &str) {
        let (_, rest) = said.split_once('`').expect(said);
        let (line, _) = rest.rsplit_once('`').expect(said);
        self.shell(&line.replace("FILE", file).replace("NEW", "cured"));
    }
}
