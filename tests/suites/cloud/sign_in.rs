//! Every sign-in method, with a real Keystone (`cargo xtask cloud up`). All output is searched for
//! secrets.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use glance_client::GlanceStore;
use glance_core::image::{Attributes, Image, ImageId};
use glance_core::store::memory::MemoryStore;
use glance_core::transport::RequestIdentity;
use glance_core::{Body, ImageStore, Transport, TransportError};
use http::{Method, Request, Response, StatusCode};
use keystone_auth::Session;
use replicator_engine::{Done, Policy, Replication};
use tokio::sync::Barrier;

use crate::support::common::Run;
use crate::support::real_cloud::{Cloud, STACKS, reset, transport};

#[test]
fn each_way_to_sign_in_lists_images_or_says_why_not() {
    let signing = Signing::new();
    for stack in STACKS {
        signing.in_the_right_way(stack);
        signing.with_a_scope_that_glance_does_not_take(stack);
        signing.with_wrong_secrets(stack);
        signing.by_a_token(stack);
        signing.to_a_part_of_the_cloud(stack);
        let agent = format!("agent=\"glance-replicator/{} (", env!("CARGO_PKG_VERSION"));
        for server in ["keystone", "a", "b"] {
            assert!(!signing.cloud.requests(server, &[&agent]).is_empty(), "{server}");
        }
    }
}

/// The cloud, and a directory for files with right and wrong secrets.
struct Signing {
    cloud: Cloud,
    directory: tempfile::TempDir,
    token: String,
}

impl Signing {
    fn new() -> Self {
        let cloud = Cloud::find();
        let directory = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let token = runtime.block_on(cloud.token("alice-a"));
        Self { cloud, directory, token }
    }

    /// Writes a file with secrets for this test only.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.directory.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A `secure.yaml` with the passcodes of the current half minute.
    fn passcodes(&self) -> String {
        let passcode =
            |user| self.cloud.python("standalone/totp.py", &[self.cloud.text("totp"), user]);
        self.file(
            "secure.yaml",
            &format!(
                "clouds:\n  totp-a: {{auth: {{passcode: '{}'}}}}\n  mfa-a: {{auth: {{passcode: \
                 '{}'}}}}\n",
                passcode("totp").trim(),
                passcode("mfa").trim(),
            ),
        )
    }

    /// Runs the tool with debug output; fails the test if the output contains a secret.
    #[track_caller]
    fn run(&self, line: &[&str], more: &[(&str, &str)], exit: i32) -> Run {
        let run = self.cloud.replicator_with(&[line, &["--debug"]].concat(), more);
        run.says_none_of([self.token.as_str(), "wrong-hush"]);
        run.exits(exit)
    }

    fn in_the_right_way(&self, stack: &str) {
        for cloud in
            ["a", "alice-a", "appcred-a", "appcred-name-a", "totp-a", "mfa-a", "trust-a", "bob-b"]
        {
            let secure = self.passcodes();
            let secure = [("OS_CLIENT_SECURE_FILE", secure.as_str())];
            let run = self.run(&["size", cloud, "--tls", stack], &secure, 0);
            assert!(run.stdout.starts_with("Total size is "), "{cloud}: {}", run.stdout);
            let doctor = ["doctor", cloud, "--tls", stack, "--read-only", "--output", "json"];
            self.run(&doctor, &[("OS_CLIENT_SECURE_FILE", &self.passcodes())], 0);
        }
        let run = self.run(&["clouds", "--output", "json"], &[], 0);
        let listed: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        let listed = listed["clouds"].as_array().unwrap();
        let totp = listed.iter().find(|cloud| cloud["name"] == "totp-a").unwrap();
        assert_eq!(totp["auth_type"], "v3totp");
        assert_eq!(totp["asks_for"][0], "passcode");
        assert!(listed.iter().all(|cloud| cloud["usable"] == true), "{}", run.stdout);
    }

    /// Keystone accepts the sign-in, but Glance requires a project scope.
    fn with_a_scope_that_glance_does_not_take(&self, stack: &str) {
        for (cloud, reason) in [
            ("system-a", "the sign-in is for the whole system"),
            ("domain-a", "the sign-in is for a domain"),
        ] {
            let run = self.run(&["size", cloud, "--tls", stack], &[], 5);
            assert!(run.stderr.contains("403 Forbidden"), "{cloud}: {}", run.stderr);
            assert!(run.stderr.contains("(request req-"), "{cloud}: {}", run.stderr);
            assert!(run.stderr.contains(reason), "{cloud}: {}", run.stderr);
            self.run(&["size", cloud, "--tls", stack, "--source-project", "admin"], &[], 0);
        }
    }

    fn with_wrong_secrets(&self, stack: &str) {
        let wrong = "clouds:
  alice-a: {auth: {password: wrong-hush}}
  appcred-a: {auth: {application_credential_secret: wrong-hush}}
  appcred-name-a: {auth: {application_credential_name: no-such}}
  totp-a: {auth: {passcode: wrong-hush}}
  mfa-a: {auth: {passcode: wrong-hush}}
  trust-a: {auth: {trust_id: 0123456789abcdef0123456789abcdef}}
  bob-a: {auth: {project_name: proj1}}
";
        let secure = self.file("wrong.yaml", wrong);
        for (cloud, reason) in [
            ("alice-a", "rejected the credentials of user `alice`"),
            ("appcred-a", "rejected the credentials of application credential `"),
            ("appcred-name-a", "application credential `no-such`"),
            ("totp-a", "rejected the credentials of user `totp`"),
            ("mfa-a", "rejected the credentials of user `mfa`"),
            ("mfa-password-a", "accepted the password and requires another factor"),
            ("trust-a", "rejected the credentials of user `bob`"),
            ("bob-a", "rejected the credentials of user `bob`"),
        ] {
            let secure = [("OS_CLIENT_SECURE_FILE", secure.as_str())];
            let run = self.run(&["size", cloud, "--tls", stack], &secure, 5);
            assert!(run.stderr.contains(reason), "{cloud}: {}", run.stderr);
            assert!(run.stderr.contains("(request req-"), "{cloud}: {}", run.stderr);
            assert!(run.stderr.contains("hint: "), "{cloud}: {}", run.stderr);
        }
    }

    /// A token alone, a token that is validated, and a token that Keystone exchanges for another.
    fn by_a_token(&self, stack: &str) {
        let (a, keystone) = (self.cloud.text("a"), self.cloud.text("keystone"));
        let (token, ca) = (self.token.as_str(), self.cloud.text("ca"));
        let file = self.file("token", &format!("{token}\n"));
        let server = ["size", a, "--cacert", ca, "--tls", stack];
        let run = self.run(&[&server[..], &["--source-token-file", &file]].concat(), &[], 0);
        assert!(run.stderr.contains("the validity of the token is unknown"), "{}", run.stderr);
        self.run(&[&server[..], &["-t", token]].concat(), &[], 0);
        let known = [("OS_TOKEN", token), ("OS_AUTH_URL", keystone)];
        self.run(&server, &known, 0);
        let traded = [
            ("OS_AUTH_TYPE", "v3token"),
            ("OS_REGION_NAME", "RegionA"),
            ("OS_PROJECT_NAME", "proj1"),
            ("OS_PROJECT_DOMAIN_NAME", "Default"),
        ];
        let traded = [&known[..], &traded[..], &[("OS_CACERT", ca)]].concat();
        self.run(&["size", "envvars", "--tls", stack], &traded, 0);

        let wrong = [("OS_TOKEN", "wrong-hush"), ("OS_AUTH_URL", keystone)];
        let run = self.run(&server, &wrong, 5);
        let reason = "rejected the credentials of the given token (request req-";
        assert!(run.stderr.contains(reason), "{}", run.stderr);
        let run = self.run(&[&server[..], &["-t", "wrong-hush"]].concat(), &[], 5);
        assert!(run.stderr.contains("hint: get a new token"), "{}", run.stderr);
    }

    fn to_a_part_of_the_cloud(&self, stack: &str) {
        let b = self.cloud.text("b");
        let regions = "clouds: {alice-a: {regions: [RegionA, RegionB, RegionC]}}";
        let regions = self.file("regions.yaml", regions);
        let regions = [("OS_CLIENT_SECURE_FILE", regions.as_str())];
        for line in [
            &["size", "alice-a@RegionB"][..],
            &["size", "alice-a@RegionB", "--source-interface", "internal"],
            &["size", "alice-a", "--source-endpoint-override", b],
        ] {
            let run = self.run(&[line, &["--tls", stack]].concat(), &regions, 0);
            assert!(run.stderr.contains(&format!("is at {b}")), "{}", run.stderr);
        }
        let run = self.run(&["size", "alice-a@RegionC", "--tls", stack], &regions, 5);
        assert!(run.stderr.contains("in region `RegionC`"), "{}", run.stderr);
    }
}

/// Number of images that are copied concurrently.
const IMAGES: usize = 100;

/// Holds back the creation of all images of a copy until all are requested, and then expires their
/// token.
#[derive(Debug)]
struct Expiring {
    inner: Arc<dyn Transport>,
    keystone: String,
    memcached: String,
    made: AtomicUsize,
    all_there: Barrier,
    expired: Barrier,
}

impl Expiring {
    /// Revokes a token, and flushes Glance's token cache, which would keep it valid for minutes.
    async fn expire(&self, token: &http::HeaderValue) {
        let request = Request::delete(format!("{}/auth/tokens", self.keystone))
            .header("x-auth-token", token)
            .header("x-subject-token", token)
            .body(Body::empty());
        let answer = self.inner.send(request.unwrap()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        let mut memcached = TcpStream::connect(&self.memcached).unwrap();
        memcached.write_all(b"flush_all\r\n").unwrap();
        let mut said = [0; 4];
        memcached.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"OK\r\n");
    }
}

#[async_trait]
impl Transport for Expiring {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let makes = *request.method() == Method::POST && request.uri().path() == "/v2/images";
        if makes && self.made.fetch_add(1, Ordering::SeqCst) < IMAGES {
            if self.all_there.wait().await.is_leader() {
                self.expire(&request.headers()["x-auth-token"]).await;
            }
            self.expired.wait().await;
        }
        // Each request gets a task of its own. In a single task the requests would use up tokio's
        // cooperative budget, and the OpenSSL transport treats a flush that has to wait as a failed
        // handshake.
        let inner = Arc::clone(&self.inner);
        tokio::spawn(async move { inner.send(request).await }).await.unwrap()
    }
}

#[test]
fn a_hundred_images_with_an_expired_token_make_one_sign_in() {
    let cloud = Cloud::find();
    for stack in STACKS {
        reset("b");
        let agent = format!("hundred-{stack}-{}", std::process::id());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let copied = runtime.block_on(copy_a_hundred(&cloud, stack, &agent));
        assert_eq!(copied, IMAGES);
        let agent = format!("agent=\"{agent}\"");
        let refused = cloud.requests("b", &[" 401 POST /v2/images ", &agent]);
        assert_eq!(refused.len(), IMAGES, "the token was not refused {IMAGES} times");
        // The first sign-in, and the one that replaces its token.
        let signed_in = cloud.requests("keystone", &[" 201 POST /v3/auth/tokens ", &agent]);
        assert_eq!(signed_in.len(), 2, "{signed_in:#?}");
    }
    reset("b");
}

/// Returns the number of copied images.
async fn copy_a_hundred(cloud: &Cloud, stack: &str, agent: &str) -> usize {
    let source = MemoryStore::new("source");
    for _ in 0..IMAGES {
        let attributes = Attributes {
            disk_format: Some("raw".into()),
            container_format: Some("bare".into()),
            ..Attributes::default()
        };
        let image = Image::queued(ImageId::random(), attributes);
        source.create(&image).await.unwrap();
        source.upload(&image.id, Body::from(Bytes::from_static(b"data"))).await.unwrap();
    }
    let configured = cloud.configured("b");
    let expiring = Arc::new(Expiring {
        inner: RequestIdentity::new(agent).by(transport(stack, &configured)),
        keystone: cloud.text("keystone").to_owned(),
        memcached: cloud.text("memcached").to_owned(),
        made: AtomicUsize::new(0),
        all_there: Barrier::new(IMAGES),
        expired: Barrier::new(IMAGES),
    });
    let session = Arc::new(Session::new(expiring.clone(), configured.auth));
    let target = Arc::new(GlanceStore::new("b", expiring, cloud.text("b"), session));
    let policy = Policy { transfers: IMAGES, ..Policy::default() };
    let replication = Replication { source: Arc::new(source), target, policy };
    let mut copied = 0;
    let observed = replication.run(|outcome| match outcome.result {
        Ok(Done::Copied) => copied += 1,
        other => panic!("{other:?}"),
    });
    observed.await.unwrap();
    copied
}
