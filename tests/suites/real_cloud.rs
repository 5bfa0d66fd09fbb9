//! The real Keystone and the two real Glances of `cargo xtask cloud up`.
#![allow(dead_code, reason = "not every suite needs all of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use glance_core::Transport;
use glance_core::identity::{self, Clouds, Environment, Overrides, Session};
use glance_core::tls;
use serde_json::Value;

use crate::common::{Run, replicator_with};

pub(crate) struct Cloud {
    pub(crate) endpoints: Value,
    pub(crate) directory: PathBuf,
}

impl Cloud {
    pub(crate) fn find() -> Self {
        let target = option_env!("CARGO_TARGET_TMPDIR").map(Path::new).unwrap();
        let directory = target.parent().unwrap().join("cloud");
        let endpoints = fs::read_to_string(directory.join("endpoints.json"))
            .expect("the cloud is not there: run `cargo xtask cloud up`");
        Self { endpoints: serde_json::from_str(&endpoints).unwrap(), directory }
    }

    pub(crate) fn text(&self, key: &str) -> &str {
        self.endpoints[key].as_str().unwrap()
    }

    #[track_caller]
    pub(crate) fn replicator(&self, line: &[&str]) -> Run {
        self.replicator_with(line, &[])
    }

    /// Runs the tool on the clouds here; it must say none of their secrets.
    #[track_caller]
    pub(crate) fn replicator_with(&self, line: &[&str], more: &[(&str, &str)]) -> Run {
        let clouds = [("OS_CLIENT_CONFIG_FILE", self.text("clouds_yaml"))];
        let run = replicator_with(line, &[&clouds[..], more].concat());
        run.says_none_of(self.secrets().iter().map(String::as_str));
        run
    }

    /// The password of all users, the secrets of application credentials, the keys of devices.
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

    /// A cloud as our own code understands it.
    pub(crate) fn configured(&self, name: &str) -> identity::Cloud {
        let variable = ("OS_CLIENT_CONFIG_FILE".to_owned(), self.text("clouds_yaml").to_owned());
        let clouds = Clouds::load(Environment::new([variable], "/nonexistent")).unwrap();
        clouds.cloud(name, &Overrides::default()).unwrap().unwrap()
    }

    /// A token of a cloud.
    pub(crate) async fn token(&self, name: &str) -> String {
        let cloud = self.configured(name);
        let session = Session::new(transport(STACKS[0], &cloud), cloud.auth);
        let proof = session.proof().await.unwrap();
        let (_, token) = proof.headers().next().unwrap();
        token.to_str().unwrap().to_owned()
    }

    /// The lines of an access log that have all of these words.
    pub(crate) fn requests(&self, server: &str, words: &[&str]) -> Vec<String> {
        let log = fs::read_to_string(self.endpoints["access_log"][server].as_str().unwrap());
        let log = log.unwrap_or_default();
        let fits = |line: &&str| words.iter().all(|word| line.contains(word));
        log.lines().filter(fits).map(str::to_owned).collect()
    }
}

pub(crate) fn transport(stack: &str, cloud: &identity::Cloud) -> Arc<dyn Transport> {
    let named = [("clouds.yaml", cloud.cacert.clone())];
    let (policy, _) = tls::resolve(&named, &|_| None).unwrap();
    let options = transport_hyper::Options::default();
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

/// The TLS stacks of this build, as `--tls` names them.
pub(crate) const STACKS: &[&str] = &[
    #[cfg(feature = "rustls")]
    "rustls",
    #[cfg(feature = "native-tls")]
    "native",
];
