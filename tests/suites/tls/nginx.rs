//! Mutual TLS as operators set it up: nginx with `ssl_verify_client on` in front of a Glance.

use rcgen::ExtendedKeyUsagePurpose::ClientAuth;

use crate::suites::tls::forge::Authority;
use crate::suites::tls::identities::Case;
use crate::suites::tls::row::{STACKS, Stack};
use crate::support::common::{Run, replicator_with};
use crate::support::programs::nginx::Nginx;

#[tokio::test(flavor = "multi_thread")]
async fn nginx_that_insists_on_a_client_certificate() {
    let case = Case::new();
    let stranger = Authority::root("a stranger");
    let wrong = stranger.issue(&[], &|params| params.extended_key_usages = vec![ClientAuth]);
    case.tool.write("wrong.pem", &wrong.pem);
    case.tool.write("wrong.key", &wrong.key);
    for version in ["TLSv1.2", "TLSv1.3"] {
        case.tool.write("server.pem", &case.server.pem);
        case.tool.write("server.key", &case.server.key);
        let nginx = Nginx::begin(case.tool.path(), &HTTP.replace("VERSION", version)).await;
        for stack in STACKS {
            let run = size(&nginx, stack, &case, Some("client")).await.exits(0);
            assert!(run.stdout.contains("0 images"), "{}", run.stdout);

            let run = size(&nginx, stack, &case, None).await.exits(2);
            says(&run, "No required SSL certificate was sent");
            // native-tls does not show that the server asked for a certificate.
            if !stack.is_limited() {
                says(&run, "hint: pass a client certificate with --cert");
            }

            let run = size(&nginx, stack, &case, Some("wrong")).await.exits(2);
            says(&run, "The SSL certificate error");
            if !stack.is_limited() {
                says(&run, "hint: use a client certificate that this server accepts");
            }
        }
    }
}

#[track_caller]
fn says(run: &Run, words: &str) {
    assert!(run.stderr.contains(words), "no {words:?} in {}", run.stderr);
}

async fn size(nginx: &Nginx, stack: &Stack, case: &Case, client: Option<&str>) -> Run {
    let file = |name: &str| case.path(name).to_str().unwrap().to_owned();
    let mut line = vec!["size".to_owned(), format!("https://127.0.0.1:{}", nginx.port)];
    line.extend(["--tls".to_owned(), stack.name.to_owned()]);
    line.extend(["--cacert".to_owned(), file("ca.pem")]);
    if let Some(name) = client {
        line.extend(["--cert".to_owned(), file(&format!("{name}.pem"))]);
        line.extend(["--key".to_owned(), file(&format!("{name}.key"))]);
    }
    let run = move || {
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        replicator_with(&line, &[])
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

const HTTP: &str = r#"
    server {
        listen 127.0.0.1:PORT ssl;
        ssl_certificate server.pem;
        ssl_certificate_key server.key;
        ssl_protocols VERSION;
        ssl_client_certificate ca.pem;
        ssl_verify_client on;
        default_type application/json;
        location /v2/images {
            return 200 '{"images": []}';
        }
    }
"#;
