//! The real Keystones and Glances of `cargo xtask cloud up`: the clouds a and b share a Keystone, c
//! has its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::sleep;
use std::time::Duration;

use glance_core::Transport;
use keystone_auth::{self, Clouds, Environment, Overrides, Session};
use serde_json::Value;

use crate::support::common::{Run, replicator_with};

pub(crate) use crate::support::stack::STACKS;

pub(crate) struct Cloud {
    pub(crate) endpoints: Value,
    pub(crate) directory: PathBuf,
    /// The logs of the services, and their lengths at the beginning of the test.
    logs: Vec<(PathBuf, usize)>,
    _turn: Turn,
}

/// The logs in which the services explain a failed test.
const LOGS: [&str; 8] = [
    "glance-a-api.log",
    "glance-a.log",
    "glance-b-api.log",
    "glance-b.log",
    "glance-c-api.log",
    "keystone-api.log",
    "nginx.log",
    "postgres.log",
];

impl Drop for Cloud {
    /// Prints what the services logged during a test that failed, because the logs of a machine of
    /// the continuous integration cannot be read later.
    #[expect(clippy::print_stderr, reason = "the test harness shows it with the failure")]
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for (path, begin) in &self.logs {
            let log = fs::read(path).unwrap_or_default();
            let log = String::from_utf8_lossy(log.get(*begin..).unwrap_or_default()).into_owned();
            let is_telling = |line: &&str| TELLING.iter().any(|word| line.contains(word));
            let telling: Vec<&str> = log.lines().filter(is_telling).collect();
            let last = &telling[telling.len().saturating_sub(MOST_LINES)..];
            eprintln!("{}, since the test began:\n{}", path.display(), last.join("\n"));
        }
    }
}

/// Words in the lines that tell of a failure, of an import task or of a process that ended.
const TELLING: [&str; 8] =
    ["ERROR", "WARNING", "CRITICAL", "FATAL", "Task", "died", "[error]", "[crit]"];

/// The most lines that are printed of a log.
const MOST_LINES: usize = 40;

/// Tests that empty servers or count log entries need exclusive access to the cloud.
static TURNS: RwLock<()> = RwLock::new(());

/// Held for the duration of a test.
enum Turn {
    Shared(#[expect(dead_code, reason = "its end counts")] RwLockReadGuard<'static, ()>),
    Alone(#[expect(dead_code, reason = "its end counts")] RwLockWriteGuard<'static, ()>),
}

impl Cloud {
    /// Exclusive access to the cloud.
    pub(crate) fn find() -> Self {
        Self::at(Turn::Alone(TURNS.write().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Access shared with other tests.
    pub(crate) fn find_shared() -> Self {
        Self::at(Turn::Shared(TURNS.read().unwrap_or_else(PoisonError::into_inner)))
    }

    fn at(turn: Turn) -> Self {
        let target = option_env!("CARGO_TARGET_TMPDIR").map(Path::new).unwrap();
        let directory = target.parent().unwrap().join("cloud");
        let endpoints = fs::read_to_string(directory.join("endpoints.json"))
            .expect("the cloud is not there: run `cargo xtask cloud up`");
        let endpoints = serde_json::from_str(&endpoints).unwrap();
        let logs = LOGS.map(|name| directory.join("log").join(name));
        let logs = logs.map(|path| {
            let length = fs::metadata(&path).map_or(0, |log| log.len().try_into().unwrap());
            (path, length)
        });
        Self { endpoints, directory, logs: logs.into(), _turn: turn }
    }

    pub(crate) fn text(&self, key: &str) -> &str {
        self.endpoints[key].as_str().unwrap()
    }

    #[track_caller]
    pub(crate) fn replicator(&self, line: &[&str]) -> Run {
        self.replicator_with(line, &[])
    }

    /// Runs the tool on the clouds; fails the test if the output contains a secret of theirs.
    #[track_caller]
    pub(crate) fn replicator_with(&self, line: &[&str], more: &[(&str, &str)]) -> Run {
        let clouds = [("OS_CLIENT_CONFIG_FILE", self.text("clouds_yaml"))];
        let run = replicator_with(line, &[&clouds[..], more].concat());
        run.says_none_of(self.secrets().iter().map(String::as_str));
        run
    }

    /// The password of all users, the secrets of application credentials, and the TOTP keys.
    fn secrets(&self) -> Vec<String> {
        let read = |path: &Path| fs::read_to_string(path).unwrap();
        let mut secrets = vec![read(&self.directory.join("secret"))];
        let clouds = read(Path::new(self.text("clouds_yaml")));
        let of_credentials =
            clouds.lines().filter_map(|line| line.split_once("application_credential_secret: "));
        secrets.extend(of_credentials.map(|(_, secret)| secret.to_owned()));
        let devices: Value = serde_json::from_str(&read(Path::new(self.text("totp")))).unwrap();
        let keys = devices.as_object().unwrap().values().map(|key| key.as_str().unwrap());
        secrets.extend(keys.map(str::to_owned));
        assert!(secrets.len() >= 5, "some secrets were not found");
        secrets
    }

    pub(crate) fn python(&self, script: &str, arguments: &[&str]) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("cloud").join(script);
        let output = Command::new(self.directory.join("venv/bin/python"))
            .arg(&script)
            .args(arguments)
            .env("OS_CLIENT_CONFIG_FILE", self.text("clouds_yaml"))
            .env_remove("REQUESTS_CA_BUNDLE")
            .env_remove("CURL_CA_BUNDLE")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let failed = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}{failed}", script.display());
        said
    }

    /// Compares two clouds with `cloud/judge.py` and these further options.
    pub(crate) fn judge(&self, source: &str, target: &str, options: &[&str]) -> Judgement {
        let said = self.python("judge.py", &[&[source, target], options].concat());
        Judgement(serde_json::from_str(&said).unwrap())
    }

    /// A cloud of clouds.yaml, as `keystone-auth` reads it.
    pub(crate) fn configured(&self, name: &str) -> keystone_auth::Cloud {
        let variable = ("OS_CLIENT_CONFIG_FILE".to_owned(), self.text("clouds_yaml").to_owned());
        let clouds = Clouds::load(Environment::new([variable], "/nonexistent")).unwrap();
        clouds.cloud(name, &Overrides::default()).unwrap().unwrap()
    }

    /// A token of a cloud.
    pub(crate) async fn token(&self, name: &str) -> String {
        let cloud = self.configured(name);
        let session = Session::new(transport(STACKS[0], &cloud), cloud.auth);
        let proof = session.proof().await.unwrap();
        let url = "https://glance.test".parse().unwrap();
        let (_, token) = proof.headers(&url).unwrap().next().unwrap();
        token.to_str().unwrap().to_owned()
    }

    /// The lines of an access log that contain all these words.
    pub(crate) fn requests(&self, server: &str, words: &[&str]) -> Vec<String> {
        let log = self.access_log(server);
        let fits = |line: &&str| words.iter().all(|word| line.contains(word));
        log.lines().filter(fits).map(str::to_owned).collect()
    }

    /// The current end of a server's access log, for `writes_since`.
    pub(crate) fn mark(&self, server: &str) -> usize {
        self.access_log(server).len()
    }

    /// The requests since a mark, from the access log.
    pub(crate) fn requests_since(&self, server: &str, mark: usize) -> Vec<String> {
        self.access_log(server)[mark..].lines().map(str::to_owned).collect()
    }

    /// The id of one of the cloud's projects, such as `Default/proj1`.
    pub(crate) fn project(&self, name: &str) -> String {
        let ids = fs::read_to_string(self.text("ids")).unwrap();
        let ids: Value = serde_json::from_str(&ids).unwrap();
        ids["a"][name].as_str().unwrap().to_owned()
    }

    /// The modifying requests since a mark, from the access log.
    pub(crate) fn writes_since(&self, server: &str, mark: usize) -> Vec<String> {
        let log = self.access_log(server);
        let method = |line: &str| line.split(' ').nth(2).unwrap_or_default().to_owned();
        let writes = |line: &&str| ["POST", "PUT", "PATCH", "DELETE"].contains(&&*method(line));
        log[mark..].lines().filter(writes).map(str::to_owned).collect()
    }

    /// A server's access log, once nginx has written it: it logs a request after the answer.
    fn access_log(&self, server: &str) -> String {
        sleep(Duration::from_millis(100));
        let path = self.endpoints["access_log"][server].as_str().unwrap();
        fs::read_to_string(path).unwrap_or_default()
    }
}

/// The findings of `cloud/judge.py`.
pub(crate) struct Judgement(Value);

impl Judgement {
    /// The source's images in a state (same, missing or different), by name, with the judge's
    /// entry, which lists the differences.
    pub(crate) fn in_state(&self, state: &str) -> Vec<(String, &Value)> {
        let images = self.0["images"].as_object().unwrap().values();
        let named = images.filter(|image| image["state"] == state).map(|image| {
            let name = image["name"].as_str().unwrap_or("(no name)").to_owned();
            (name, image)
        });
        let mut found: Vec<_> = named.collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found
    }

    /// The state and differences of an image, by its id.
    pub(crate) fn of(&self, id: &str) -> &Value {
        &self.0["images"][id]
    }

    /// The id of an image that `in_state` returned.
    pub(crate) fn id(&self, image: &Value) -> String {
        let mut images = self.0["images"].as_object().unwrap().iter();
        images.find(|(_, one)| std::ptr::eq(*one, image)).unwrap().0.clone()
    }

    /// The ids that exist only at the target.
    pub(crate) fn extra(&self) -> &[Value] {
        self.0["extra"].as_array().unwrap()
    }

    /// Fails the test unless exactly these images are missing at the target, all others are the
    /// same, and the target has no further images. Returns the number of images that are the same.
    #[track_caller]
    pub(crate) fn all_same_but_missing(&self, missing: &[&str]) -> usize {
        let different = self.in_state("different");
        assert!(different.is_empty(), "{different:#?}");
        let found: Vec<_> = self.in_state("missing").into_iter().map(|(name, _)| name).collect();
        assert_eq!(found, missing);
        assert!(self.extra().is_empty(), "{:?}", self.extra());
        self.in_state("same").len()
    }

    /// Fails the test unless C, which has a Keystone of its own, has all of `seed.py` that it can
    /// have.
    #[track_caller]
    pub(crate) fn is_all_that_c_can_hold(&self) {
        let missing: Vec<_> = self.in_state("missing").into_iter().map(|(name, _)| name).collect();
        let blocked = BLOCKED.iter().map(|(name, _)| *name);
        let mut expected: Vec<_> = NOT_PORTABLE.iter().copied().chain(blocked).collect();
        expected.sort_unstable();
        assert_eq!(missing, expected);
        // Members that are not projects at C cannot be reproduced; everything else can.
        for (name, image) in self.in_state("different") {
            let differences = image["differences"].as_object().unwrap();
            let lost = differences.keys().all(|field| LOST_MEMBERS.contains(&&**field));
            assert!(lost, "{name}: {differences:?}");
        }
        assert!(self.in_state("same").len() >= 45 && self.extra().is_empty());
    }
}

pub(crate) fn transport(stack: &str, cloud: &keystone_auth::Cloud) -> Arc<dyn Transport> {
    let named = [("clouds.yaml", cloud.cacert.clone())];
    let (policy, _) = tls_policy::resolve(&named, &|_| None).unwrap();
    let options = transport_hyper::ClientOptions::default();
    match stack {
        #[cfg(feature = "rustls")]
        "rustls" => transport_rustls::transport(&policy, options).unwrap(),
        #[cfg(feature = "native-tls")]
        "native" => transport_native::transport(&policy, options).unwrap(),
        other => panic!("this build has no {other}"),
    }
}

/// Empties a Glance.
pub(crate) fn reset(glance: &str) {
    xtask_cloud(&["reset", glance]);
}

pub(crate) fn xtask_cloud(line: &[&str]) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo).args(["xtask", "cloud"]).args(line).status().unwrap();
    assert!(status.success(), "{line:?}");
}

/// Images of `seed.py` whose data is useless at another site.
pub(crate) const NOT_PORTABLE: &[&str] = &["boot-from-volume", "encrypted", "encrypted-key-stays"];

/// Images of `seed.py` that cannot be copied to C, and a part of the reason.
pub(crate) const BLOCKED: &[(&str, &str)] = &[
    ("of-no-project", "unknown at the source"),
    ("of-only-a", "does not exist at the target"),
    ("ploop", "disk_format"),
    ("vhdx", "disk_format"),
];

/// Members of seeded images that are not projects at C.
pub(crate) const LOST_MEMBERS: &[&str] = &["member no-such-project", "member Default/only-a"];
