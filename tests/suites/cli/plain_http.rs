//! Plain HTTP: used only where it was typed, announced on the terminal, and never used for secrets
//! that came over HTTPS.

use std::fs;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use glance_core::store::memory::MemoryStore;
use glance_core::{Body, Transport, TransportError};
use glance_server::GlanceApi;
use http::{HeaderValue, Request, Response};
use serde_json::json;
use tests::pki::{Authority, Leaf};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::support::common::{Run, replicator_with};
use crate::support::stack::{STACKS, acceptor};

const TOKEN: &str = "a-token-that-stays-secret";

/// A Glance over plain HTTP and a Keystone over HTTPS, with a record of the requests to Glance.
struct Site {
    _runtime: Runtime,
    directory: tempfile::TempDir,
    /// The address of Glance, `127.0.0.1:PORT`.
    glance: String,
    keystone: String,
    asked: Arc<Mutex<Vec<String>>>,
}

/// Records requests and passes them on.
#[derive(Debug)]
struct Noting {
    asked: Arc<Mutex<Vec<String>>>,
    glance: GlanceApi,
}

#[async_trait]
impl Transport for Noting {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let (method, path) = (request.method(), request.uri().path());
        self.asked.lock().unwrap().push(format!("{method} {path}"));
        self.glance.send(request).await
    }
}

/// Issues a token with a catalog that contains the Glance.
#[derive(Debug)]
struct Keystone {
    glance: String,
}

#[async_trait]
impl Transport for Keystone {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let _ = request.into_body().collect(1 << 20).await;
        let endpoints = json!([{"interface": "public", "region": "R", "url": self.glance}]);
        let catalog = json!([{"type": "image", "endpoints": endpoints}]);
        let text = json!({"token": {"catalog": catalog, "project": {"id": "p"}}}).to_string();
        let mut answer = Response::new(Body::from(Bytes::from(text)));
        answer.headers_mut().insert("x-subject-token", HeaderValue::from_static(TOKEN));
        Ok(answer)
    }
}

impl Site {
    /// The catalog lists `catalog` as Glance's URL, or else the real one.
    fn new(catalog: Option<&str>) -> Self {
        let runtime = Runtime::new().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let root = Authority::root("the CA of the tests").unwrap();
        let server = root.issue(&Leaf::new("server", &["127.0.0.1"])).unwrap();
        fs::write(directory.path().join("ca.pem"), root.pem()).unwrap();
        fs::write(directory.path().join("token"), TOKEN).unwrap();
        let listen = || runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let (glance, keystone) = (listen(), listen());
        let address = |listener: &TcpListener| listener.local_addr().unwrap().to_string();
        let (glance_at, keystone_at) = (address(&glance), address(&keystone));
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let api = GlanceApi::new(Arc::new(MemoryStore::new("memory"))).with_token(TOKEN);
        let noting = Noting { asked: Arc::clone(&asked), glance: api };
        runtime.spawn(glance_server::serve(glance, None, Arc::new(noting), std::future::pending()));
        let acceptor = acceptor(STACKS[0], server.chain_pem.as_bytes(), server.key_pem.as_bytes());
        let url = catalog.map_or_else(|| format!("http://{glance_at}"), str::to_owned);
        let api = Arc::new(Keystone { glance: url });
        let forever = std::future::pending();
        runtime.spawn(glance_server::serve(keystone, Some(acceptor), api, forever));
        let keystone = format!("https://{keystone_at}/v3");
        Self { _runtime: runtime, directory, glance: glance_at, keystone, asked }
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    /// Writes a clouds file with the cloud `a` and these further settings.
    fn cloud(&self, more: &str) -> String {
        let (keystone, ca) = (&self.keystone, self.path("ca.pem"));
        let auth = format!(
            "{{auth_url: '{keystone}', username: u, password: hush-hush, user_domain_name: D, \
             project_name: p, project_domain_name: D}}"
        );
        let text = format!("clouds: {{a: {{auth: {auth}, cacert: '{ca}'{more}}}}}");
        fs::write(self.path("clouds.yaml"), text).unwrap();
        self.path("clouds.yaml")
    }

    /// Runs the tool with a log file. Returns the run and the log.
    fn logged(&self, line: &[&str], variables: &[(&str, &str)]) -> (Run, String) {
        let log = self.path("log");
        let _ = fs::remove_file(&log);
        let run = replicator_with(&[line, &["--logfile", &log]].concat(), variables);
        run.says_none_of([TOKEN, "hush-hush"]);
        let log = fs::read_to_string(log).unwrap();
        assert!(!log.contains(TOKEN) && !log.contains("hush-hush"), "{log}");
        (run, log)
    }
}

#[test]
fn a_warning_is_on_the_terminal_whatever_the_spelling_and_the_log() {
    let site = Site::new(None);
    let token = site.path("token");
    let said = format!("http://{} is plain http: anyone on the network path can read", site.glance);
    for scheme in ["http", "HTTP", "hTtP"] {
        for word in
            [format!("{scheme}://{}", site.glance), format!("url:{scheme}://{}/v2/", site.glance)]
        {
            let (run, log) = site.logged(&["size", &word, "--token-file", &token], &[]);
            let run = run.exits(0);
            assert!(run.stderr.contains(&said) && log.contains(&said), "{}\n{log}", run.stderr);
            let run = replicator_with(&["size", &word, "--token-file", &token], &[]).exits(0);
            assert_eq!(run.stderr.matches(&said).count(), 1, "{}", run.stderr);
        }
    }
    let clouds = site.cloud("");
    let (run, _) = site.logged(&["size", "a"], &[("OS_CLIENT_CONFIG_FILE", &clouds)]);
    let run = run.exits(0);
    assert!(run.stderr.contains(&said), "{}", run.stderr);
    // Other messages go to the log file only.
    let (run, log) = site.logged(&["size", "https://127.0.0.1:1", "-t", TOKEN, "-v"], &[]);
    assert!(log.contains("other users can see a token"), "{log}");
    assert!(!run.stderr.contains("other users can see a token"), "{}", run.stderr);
}

#[test]
fn an_option_for_tls_without_effect_is_refused() {
    let site = Site::new(None);
    let (http, https) = (format!("HTTP://{}", site.glance), "https://127.0.0.1:1");
    let (ca, dump) = (site.path("ca.pem"), site.path("dump"));
    let pin = "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    let over_http = "the source is reached over plain";
    for (line, option, why) in [
        (&["size", &http, "--source-pin", pin][..], "--source-pin", over_http),
        (&["size", &http, "--source-cacert", &ca], "--source-cacert", over_http),
        (&["size", &http, "--source-cert", &ca], "--source-cert", over_http),
        (&["size", &http, "--source-key", &ca], "--source-key", over_http),
        (&["size", &http, "--cacert", &ca], "--cacert", "no server of this command"),
        (&["size", &http, "--cert", &ca], "--cert", "no server of this command"),
        (&["size", &http, "--key", &ca], "--key", "no server of this command"),
        (&["size", &http, "--crl", &ca], "--crl", "no server of this command"),
        (&["size", &http, "--system-roots"], "--system-roots", "no server of this command"),
        (&["size", &http, "--tls-min-version", "1.3"], "--tls-min-version", "no server of this"),
        (&["size", &http, "--tls-min-version", "1.2"], "--tls-min-version", "no server of this"),
        (&["doctor", &http, "--source-pin", pin], "--source-pin", over_http),
        (&["verify", https, "--target-pin", pin], "--target-pin", "there is no target"),
        (&["sync", https, &dump, "--target-cacert", &ca], "--target-cacert", "the target is not a"),
        (
            &["livecopy", &dump, https, "--source-pin", pin],
            "--source-pin",
            "the source is not a server",
        ),
        (
            &["livecopy", https, &http, "--target-pin", pin],
            "--target-pin",
            "the target is reached over",
        ),
        (&["livecopy", &http, &http, "--cacert", &ca], "--cacert", "no server of this command"),
        (&["verify", &http, &http, "--cacert", &ca], "--cacert", "no server of this command"),
        (&["metadefs", &http, &dump, "--cacert", &ca], "--cacert", "no server of this command"),
    ] {
        let run = replicator_with(line, &[]).exits(2);
        let said = format!("{option} has no effect: {why}");
        let all = format!("{}{}", run.stdout, run.stderr);
        assert!(all.contains(&said) && all.contains("hint"), "{line:?}: {all}");
    }
    assert!(site.asked.lock().unwrap().is_empty());
}

/// Where the option applies to the other side, or where no server is known that it could apply to.
#[test]
fn an_option_for_tls_that_may_have_an_effect_is_accepted() {
    let site = Site::new(None);
    let (http, https) = (format!("HTTP://{}", site.glance), "https://127.0.0.1:1");
    let ca = site.path("ca.pem");
    let token = site.path("token");
    for (line, exit) in [
        (&["livecopy", https, &http, "--cacert", &ca][..], 4),
        (&["livecopy", https, &http, "https://127.0.0.1:2", "--target-cacert", &ca], 4),
        (&["verify", "./none", "--cacert", &ca], 2),
    ] {
        let run = replicator_with(&[line, &["--token-file", &token]].concat(), &[]).exits(exit);
        assert!(!run.stderr.contains("has no effect"), "{line:?}: {}", run.stderr);
    }
    // The token's Keystone is asked over TLS.
    let keystone = [("OS_TOKEN", TOKEN), ("OS_AUTH_URL", &*site.keystone)];
    replicator_with(&["size", &http, "--cacert", &ca], &keystone).exits(0);
}

#[test]
fn a_token_that_came_over_https_is_not_sent_to_http_elsewhere() {
    let there = "http://192.0.2.1:9292";
    let refused = |run: Run| {
        let run = run.exits(2);
        let said = format!(
            "the token was received over https and is not sent over plain http to {there}, "
        );
        let all = format!("{}{}", run.stdout, run.stderr);
        assert!(all.contains(&said), "{all}");
        all
    };
    let site = Site::new(Some("HTTP://192.0.2.1:9292/v2"));
    let clouds = site.cloud("");
    let stderr = refused(replicator_with(&["size", "a"], &[("OS_CLIENT_CONFIG_FILE", &clouds)]));
    assert!(stderr.contains("image_endpoint_override"), "{stderr}");
    let site = Site::new(None);
    let clouds = site.cloud(&format!(", image_endpoint_override: '{there}'"));
    let variables = [("OS_CLIENT_CONFIG_FILE", &*clouds)];
    let stderr = refused(replicator_with(&["size", "a"], &variables));
    assert!(stderr.contains("--source-endpoint-override"), "{stderr}");
    refused(replicator_with(&["doctor", "a"], &variables));
    let clouds = site.cloud("");
    let variables = [("OS_CLIENT_CONFIG_FILE", &*clouds)];
    let line = ["size", "a", "--source-endpoint-override", there];
    refused(replicator_with(&line, &variables));
    let ca = site.path("ca.pem");
    let keystone = [("OS_TOKEN", TOKEN), ("OS_AUTH_URL", &*site.keystone), ("OS_CACERT", &ca)];
    refused(replicator_with(&["size", there], &keystone));
    assert!(site.asked.lock().unwrap().is_empty());
    // Tokens may be sent over plain HTTP to this machine.
    replicator_with(&["size", "a"], &variables).exits(0);
    assert!(!site.asked.lock().unwrap().is_empty());
}

#[test]
fn what_is_meant_to_stay_on_this_machine_passes_no_proxy() {
    let site = Site::new(None);
    let clouds = site.cloud("");
    let proxy = ("http_proxy", "http://127.0.0.1:1");
    let file = ("OS_CLIENT_CONFIG_FILE", &*clouds);
    let url = format!("http://{}", site.glance);
    for (line, variables) in [(["size", &*url], &[proxy][..]), (["size", "a"], &[proxy, file])] {
        let run = replicator_with(&line, variables).exits(2);
        let said = "a server on this machine, through the proxy http://127.0.0.1:1 (http_proxy)";
        assert!(run.stderr.contains(said), "{}", run.stderr);
        assert!(run.stderr.contains("hint: add 127.0.0.1 to NO_PROXY"), "{}", run.stderr);
        let through = [variables, &[("NO_PROXY", "127.0.0.1")]].concat();
        let exit = if line[1] == "a" { 0 } else { 5 };
        replicator_with(&line, &through).exits(exit);
    }
}
