use super::*;

fn pem() -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["glance.test".to_owned()]).unwrap();
    params.self_signed(&key).unwrap().pem() + &key.serialize_pem()
}

fn read(text: &str) -> Result<Vec<Certificate>, TlsFileError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    load(file.path())
}

fn fails(text: &str) -> (Option<usize>, String) {
    let error = read(text).unwrap_err();
    (error.line, error.what)
}

#[test]
fn accepts_what_operators_have() {
    let (one, two) = (pem(), pem());
    let text = format!("\u{feff}{one}# a comment\n{two}{one}");
    let all = read(&text).unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!(all[0].line, 1);
    assert_eq!(read(&text.replace('\n', "\r\n")).unwrap().len(), 2);
    assert_eq!(read(&one.replace(" CERTIFICATE-", " X509 CERTIFICATE-")).unwrap().len(), 1);
    let (head, rest) = one.split_once("-----\n").unwrap();
    let (base64, _) = rest.split_once("-----END").unwrap();
    let flat = base64.replace('\n', "");
    assert_eq!(read(&format!("{head}-----\n{flat}\n-----END CERTIFICATE-----")).unwrap().len(), 1);
}

#[test]
fn reads_bytes_like_a_file() {
    let one = pem();
    let all = from_bytes((one.clone() + &one).as_bytes(), "the built-in CA").unwrap();
    assert_eq!((all.len(), all[0].to_string()), (1, "the built-in CA, line 1".to_owned()));
    let der = all[0].der.clone();
    assert_eq!(from_bytes(&der, "DER").unwrap()[0].der, der);
    for nothing in [&b""[..], b"nonsense"] {
        let error = from_bytes(nothing, "the built-in CA").unwrap_err().to_string();
        assert!(error.starts_with("the built-in CA: "), "{error}");
    }
}

#[test]
fn reads_der_and_directories() {
    let (one, two) = (pem(), pem());
    let der = read(&one).unwrap().remove(0).der;
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("a.cer"), &der).unwrap();
    fs::write(directory.path().join("b.pem"), one).unwrap();
    fs::write(directory.path().join("c.crt"), two).unwrap();
    fs::write(directory.path().join("README"), "no certificate").unwrap();
    let all = load(directory.path()).unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!((all[0].line, &all[0].der), (0, &der));
    assert!(load(tempfile::tempdir().unwrap().path()).is_err());
}

#[test]
fn refuses_what_it_cannot_use_and_says_where() {
    let good = pem();
    let lines = good.lines().count();
    assert!(fails("").1.contains("no certificate"));
    assert!(fails("<html></html>").1.contains("no certificate"));
    assert_eq!(fails(&format!("{good}{}", good.replacen("MII", "M!I", 1))).0, Some(lines + 2));
    assert_eq!(fails(&format!("{good}-----BEGIN CERTIFICATE-----\nAAAA\n")).0, Some(lines + 1));
    let zeros = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(fails(zeros).1.contains("not a certificate"));
    assert_eq!(
        fails(&good.replace("-----\n-----BEGIN", "----------BEGIN")).0,
        Some(1 + good.lines().position(|line| line == "-----END CERTIFICATE-----").unwrap())
    );
    assert_eq!(fails(&format!("  {good}")).0, Some(1));
    assert!(load(Path::new("/nonexistent/ca.pem")).unwrap_err().source.is_some());
}
