//! `endpoints.json`, from which the tests learn the cloud's addresses.

use std::fs;

use serde_json::{Map, Value, json};

use super::layout::{HOST, Layout, Port};
use crate::cloud::services::glance::Glance;
use crate::cloud::services::keystone::Keystone;
use crate::cloud::services::nginx::SERVERS;
use crate::failure::{Context, Failure};

/// Writes `endpoints.json` to the cloud's directory.
pub(crate) fn write(layout: &Layout) -> Result<(), Failure> {
    let access_log: Map<String, Value> = SERVERS
        .iter()
        .map(|server| {
            let log = layout.log(&format!("access-{}", server.name));
            let name = server.name.trim_start_matches("glance-").replace('-', "_");
            (name, json!(log))
        })
        .collect();
    let endpoints = json!({
        "keystone": Keystone::Ab.url(layout),
        "keystone_c": Keystone::C.url(layout),
        "a": Glance::A.url(layout),
        "b": Glance::B.url(layout),
        "c": Glance::C.url(layout),
        "bad": {
            "expired": layout.https(Port::Expired),
            "wronghost": layout.https(Port::WrongHost),
            "selfsigned": layout.https(Port::SelfSigned),
            "nochain": layout.https(Port::NoChain),
        },
        "ca": layout.path("pki/root.pem"),
        "other_ca": layout.path("pki/other.pem"),
        "clouds_yaml": layout.path("clouds.yaml"),
        "totp": layout.path("totp.json"),
        "memcached": format!("{HOST}:{}", layout.port(Port::Memcached)),
        "memcached_c": format!("{HOST}:{}", layout.port(Port::MemcachedC)),
        "ids": layout.path("ids.json"),
        "python": layout.venv_program("python"),
        "access_log": access_log,
    });
    let path = layout.path("endpoints.json");
    fs::write(&path, format!("{endpoints:#}\n"))
        .context(|| format!("cannot write {}", path.display()))
}
