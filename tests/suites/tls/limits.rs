//! What native-tls cannot express is refused when a command starts, with exit code 2.

use crate::suites::tls::forge::{Authority, HOST, PLAIN, Tool};
use crate::support::common::replicator_with;

#[test]
fn what_native_tls_cannot_express_is_refused() {
    let (tool, root) = (Tool::new(), Authority::root("the root"));
    let (middle, server) = (root.below("the middle", PLAIN), root.issue(&[HOST], PLAIN));
    let file = |name: &str, text: &str| {
        tool.write(name, text);
        tool.path().join(name).to_str().unwrap().to_owned()
    };
    let (root_file, lists) = (file("root.pem", &root.pem), file("crl.pem", &root.list(&[7])));
    let (middle, server) = (file("middle.pem", &middle.pem), file("server.pem", &server.pem));
    let self_signed = "trusts self-signed certificates only, and the trust store does not contain the \
                       issuer of the certificate in ";
    for (options, words) in [
        (
            &["--cacert", &root_file, "--crl", &lists][..],
            ["cannot check revocation lists", "--crl"],
        ),
        (&["--cacert", &middle], [self_signed, "middle.pem, line 1"]),
        (&["--cacert", &server], [self_signed, "server.pem, line 1"]),
        (&["--cacert", &root_file, "--require-fips"], ["does not tell", "FIPS mode"]),
    ] {
        let line = [&["size", "https://127.0.0.1:1", "--tls", "native"], options].concat();
        let run = replicator_with(&line, &[]).exits(2);
        for word in words.iter().chain(&["(native-tls 0.", "--tls rustls"]) {
            assert!(run.stderr.contains(word), "no {word:?} in {}", run.stderr);
        }
    }
}
