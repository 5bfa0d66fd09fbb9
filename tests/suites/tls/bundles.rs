//! Every form of a CA bundle, with both stacks, and unusable bundles, which are errors before any
//! connection.

use std::fs;
use std::path::Path;

use rcgen::{CrlIssuingDistributionPoint, CrlScope, date_time_ymd};
use tls_policy::files::crl;
use tls_policy::{Roots, bundle, pin};

use crate::suites::tls::forge::{Authority, HOST, Identity, PLAIN, Tool, list};
use crate::suites::tls::row::{Row, STACKS, accepted, check};
use crate::support::common::replicator_with;

#[tokio::test(flavor = "multi_thread")]
async fn forms_of_bundles() {
    let case = Case::new();
    let tool = &case.tool;
    let ca = &case.ca.pem;
    let (other, key) = (Authority::root("another").pem, case.ca.key().serialize_pem());
    let commented = tool.run("x509 -in ca.pem -text");
    tool.write("two.pem", &format!("{other}{ca}"));
    tool.run("x509 -in ca.pem -outform DER -out ca.der");
    let flat = flat(ca);
    check(vec![
        case.accepts("pem", ca),
        case.accepts("comments", &format!("# Müller's CA\n\n{commented}\nthe end")),
        case.accepts("crlf", &ca.replace('\n', "\r\n")),
        case.accepts("no_final_newline", ca.trim_end()),
        case.accepts("byte_order_mark", &format!("\u{feff}{ca}")),
        case.accepts("several", &format!("{other}{ca}")),
        case.accepts("duplicates", &format!("{ca}{ca}{other}{ca}")),
        case.accepts("x509_label", &ca.replace(" CERTIFICATE-", " X509 CERTIFICATE-")),
        case.accepts("one_line", &flat),
        case.accepts("key_in_the_file", &format!("{key}{ca}")),
        case.accepts("trusted_for_servers", &tool.run(&trusted("-addtrust serverAuth"))),
        case.accepts("trusted_for_any", &tool.run(&trusted("-addtrust anyExtendedKeyUsage"))),
        case.accepts("trusted_no_purpose", &tool.run(&trusted("-setalias mine"))),
        case.accepts_path("der", &tool.path().join("ca.der")),
        case.accepts_path("directory", &case.directory("plain", false)),
        case.accepts_path("hashed_directory", &case.directory("hashed", true)),
    ])
    .await;
}

fn trusted(how: &str) -> String {
    format!("x509 -in ca.pem -trustout {how}")
}

fn flat(pem: &str) -> String {
    let lines: Vec<&str> = pem.lines().collect();
    let (first, last) = (lines[0], lines[lines.len() - 1]);
    format!("{first}\n{}\n{last}\n", lines[1..lines.len() - 1].concat())
}

/// A server, and its CA in the file `ca.pem`.
struct Case {
    tool: Tool,
    ca: Authority,
    server: Identity,
}

impl Case {
    fn new() -> Self {
        let ca = Authority::root("the CA");
        let (tool, server) = (Tool::new(), ca.issue(&[HOST], PLAIN));
        tool.write("ca.pem", &ca.pem);
        Self { tool, ca, server }
    }

    fn accepts(&self, name: &'static str, bundle: &str) -> Row {
        self.tool.write(name, bundle);
        self.accepts_path(name, &self.tool.path().join(name))
    }

    fn accepts_path(&self, name: &'static str, path: &Path) -> Row {
        let roots = Roots::Bundle(bundle::load(path).unwrap());
        accepted(name, &self.server, &[&self.ca.pem]).under(|policy| policy.roots = roots)
    }

    /// A directory with the CA, in a file named by `c_rehash` or in `ca.pem`.
    fn directory(&self, name: &str, hashed: bool) -> std::path::PathBuf {
        let path = self.tool.path().join(name);
        fs::create_dir(&path).unwrap();
        fs::write(path.join("README"), "what is here").unwrap();
        fs::copy(self.tool.path().join("ca.pem"), path.join("ca.pem")).unwrap();
        if hashed {
            self.tool.run(&format!("rehash {name}"));
            let link = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
            let link = link.into_iter().find(|link| link.extension().unwrap_or_default() == "0");
            let link = link.expect("no file is named by its hash");
            fs::remove_file(&link).unwrap();
            fs::rename(path.join("ca.pem"), link).unwrap();
        }
        path
    }

    /// The error that loading this bundle returns.
    fn error(&self, bundle: &str) -> String {
        self.tool.write("wrong", bundle);
        bundle::load(&self.tool.path().join("wrong")).unwrap_err().to_string()
    }
}

#[test]
fn bundles_that_can_not_be_used() {
    let case = Case::new();
    let ca = &case.ca.pem;
    let key = case.ca.key().serialize_pem();
    let lines = ca.lines().count();
    let second = format!("line {}", lines + 1);
    let says = |bundle: &str, words: &[&str]| {
        let said = case.error(bundle);
        for word in words.iter().chain(&["/wrong"]) {
            assert!(said.contains(word), "no {word:?} in {said:?}");
        }
    };
    says("", &["no certificate"]);
    says("<html>404</html>", &["no certificate"]);
    says(&key, &["no certificate found, only PRIVATE KEY"]);
    says(
        &format!("{ca}{}", ca.replacen("MII", "M!I", 1)),
        &[&format!("line {}", lines + 2), "not base64"],
    );
    says(&format!("{ca}{}", ca.replacen("MII", "MI", 1)), &[&second, "damaged"]);
    says(
        &format!("{ca}{}", ca.replacen("MII", "MIJ", 1)),
        &[&second, "bytes are missing at the end"],
    );
    says(&format!("{ca}{}", ca.replace("-----END CERTIFICATE-----", "")), &[&second, "no END"]);
    says(&format!("{ca}  {ca}"), &[&second, "blanks before BEGIN"]);
    for how in ["-addtrust clientAuth", "-addreject serverAuth"] {
        says(
            &case.tool.run(&trusted(how)),
            &["only a certificate that is not trusted for servers"],
        );
    }
    let missing = bundle::load(&case.tool.path().join("missing")).unwrap_err();
    assert!(missing.to_string().contains("cannot read") && missing.source.is_some(), "{missing}");
    fs::create_dir(case.tool.path().join("empty")).unwrap();
    let empty = bundle::load(&case.tool.path().join("empty")).unwrap_err().to_string();
    assert!(
        empty.contains("the directory has no file named *.pem, *.crt, *.cer or *.0"),
        "{empty}"
    );
}

/// The tool makes no connection, and exits with the code of a configuration error.
#[test]
fn the_tool_refuses_unusable_bundles_at_its_start() {
    let case = Case::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let key = case.ca.key().serialize_pem();
    let broken = case.ca.pem.replacen("MII", "M!I", 1);
    case.tool.write("empty", "");
    case.tool.write("key", &key);
    case.tool.write("broken", &broken);
    for stack in STACKS {
        for (file, words) in [
            ("empty", "no certificate found"),
            ("key", "only PRIVATE KEY"),
            ("broken", "line 2: this line is not base64"),
            ("absent", "cannot read"),
        ] {
            let path = case.tool.path().join(file);
            let bundle = path.to_str().unwrap();
            let line = ["size", &url, "--cacert", bundle, "--tls", stack.name];
            let run = replicator_with(&line, &[]).exits(2);
            assert!(run.stderr.contains(bundle) && run.stderr.contains(words), "{}", run.stderr);
        }
    }
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_of_revocation_lists() {
    let case = Case::new();
    let tool = &case.tool;
    let (own, other) = (case.ca.list(&[7]), Authority::root("another").list(&[]));
    tool.write("own", &own);
    tool.write("several", &format!("# lists\n{other}{own}"));
    tool.run("crl -in own -outform DER -out der");
    let row = |name, file: &str| {
        let lists = crl::load(&tool.path().join(file)).unwrap();
        let words = &["CN=the server", "revoked"];
        let row = crate::suites::tls::row::refused(name, &case.server, &[&case.ca.pem], words);
        row.under(|policy| policy.revocation = lists)
    };
    check(vec![row("crl_pem", "own"), row("crl_several", "several"), row("crl_der", "der")]).await;
}

#[test]
fn revocation_lists_that_can_not_be_used() {
    let case = Case::new();
    let says = |name: &str, text: &str, words: &[&str]| {
        case.tool.write(name, text);
        let said = crl::load(&case.tool.path().join(name)).unwrap_err().to_string();
        for word in words.iter().chain(&[name]) {
            assert!(said.contains(word), "no {word:?} in {said:?}");
        }
    };
    let mut expired = list(&[]);
    expired.this_update = date_time_ymd(2001, 1, 1);
    expired.next_update = date_time_ymd(2002, 2, 3);
    let mut early = list(&[]);
    early.this_update = date_time_ymd(2190, 1, 2);
    let mut partial = list(&[]);
    partial.issuing_distribution_point = Some(CrlIssuingDistributionPoint {
        distribution_point: rcgen::CrlDistributionPoint { uris: vec!["http://a.test/".into()] },
        scope: Some(CrlScope::UserCertsOnly),
    });
    let pem = |list: rcgen::CertificateRevocationListParams| {
        list.signed_by(&case.ca.issuer).unwrap().pem().unwrap()
    };
    says("expired", &pem(expired), &["line 1", "expired on 2002-02-03", "new list"]);
    says("early", &pem(early), &["is not valid before 2190-01-02", "clock"]);
    says("partial", &pem(partial), &["covers only some certificates", "full list"]);
    says("bundle", &case.ca.pem, &["no revocation list (X509 CRL)"]);
    says("none", "", &["no revocation list (X509 CRL)"]);
    let good = case.ca.list(&[]);
    says(
        "broken",
        &good.replacen("MI", "MJ", 1),
        &["line 1", "not a revocation list, or the list is damaged"],
    );
    says(
        "delta",
        &by_tool(&case, "2.5.29.27 = critical, DER:02:01:01", ""),
        &["covers only some certificates"],
    );
    let sha1 = by_tool(&case, "2.5.29.20 = DER:02:01:02", "-md sha1");
    says("sha1", &sha1, &["SHA-1, which can be forged"]);
    says("v1", &by_tool(&case, "", ""), &["version 1", "crl_extensions"]);
    let critical = by_tool(&case, "1.2.3.4 = critical, DER:05:00", "");
    says("critical", &critical, &["critical extension (1.2.3.4)"]);
    let numbered = by_tool(&case, "2.5.29.20 = critical, DER:02:01:02", "");
    says("numbered", &numbered, &["critical extension (2.5.29.20)"]);
}

/// A revocation list with extensions that rcgen cannot create.
fn by_tool(case: &Case, extensions: &str, more: &str) -> String {
    let tool = &case.tool;
    tool.write("ca.key", &case.ca.key().serialize_pem());
    tool.write("index", "");
    tool.write(
        "ca.cnf",
        &format!("[ca]\ndefault_ca = own\n[own]\ndatabase = index\n[more]\n{extensions}\n"),
    );
    let with = if extensions.is_empty() { "" } else { "-crlexts more" };
    let digest = if more.is_empty() { "-md sha256" } else { more };
    tool.run(&format!(
        "ca -config ca.cnf -gencrl -cert ca.pem -keyfile ca.key -crldays 9 {digest} {with}"
    ))
}

#[test]
fn pins_are_parsed_whole() {
    let good = "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    assert_eq!(pin::parse(good).unwrap().len(), 1);
    for wrong in ["", "sha256//AAAA", "47DEQpj8HBSa", &format!("{good};nonsense")] {
        let said = pin::parse(wrong).unwrap_err().to_string();
        assert!(said.contains("is not a pin"), "{said}");
    }
}
