//! `clouds.yaml`, `secure.yaml` and `clouds-public.yaml`.

use std::fs;

use keystone_auth::{Clouds, Environment, Overrides};
use proptest::prelude::*;

use super::{bounded, config, input, memory};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn files(
        clouds in input::bytes(seeds(), WORDS),
        secure in input::bytes(seeds(), WORDS),
        name in prop_oneof![Just("clouds.yaml"), Just("clouds.json")],
    ) {
        load(name, &clouds, &secure);
    }

    /// Small YAML trees of every kind, which random damage seldom produces.
    #[test]
    fn trees(clouds in tree(), secure in tree()) {
        load("clouds.yaml", format!("clouds: {clouds}").as_bytes(), format!("clouds: {secure}").as_bytes());
    }
}

/// A YAML value in flow style, with anchors and aliases.
fn tree() -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        "[a-z_~<*&!|>'\"-]{0,3}",
        Just("*a".to_owned()),
        Just("&a x".to_owned()),
        Just("https://keystone:5000/v3".to_owned()),
    ];
    let key = prop_oneof![
        Just("<<".to_owned()),
        Just("auth".to_owned()),
        Just("auth_type".to_owned()),
        Just("auth_url".to_owned()),
        Just("regions".to_owned()),
        Just("region_name".to_owned()),
        Just("profile".to_owned()),
        Just("verify".to_owned()),
        Just("a".to_owned()),
        "[a-z-]{1,2}",
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        let list = proptest::collection::vec(inner.clone(), 0..6);
        let map = proptest::collection::vec((key.clone(), inner), 0..6);
        prop_oneof![
            list.prop_map(|items| format!("&a [{}]", items.join(", "))),
            map.prop_map(|entries| {
                let entries: Vec<String> =
                    entries.into_iter().map(|(key, value)| format!("{key}: {value}")).collect();
                format!("{{{}}}", entries.join(", "))
            }),
        ]
    })
    .boxed()
}

#[test]
fn a_file_that_unfolds_is_refused_before_it_does() {
    memory::alone();
    let long = "x".repeat(100_000);
    let aliases = "*a, ".repeat(10_000);
    let mut bombs = vec![
        // Few nodes with long content.
        format!("clouds: {{a: &a {long}, b: [{aliases}]}}"),
        format!("clouds: {{a: &a {{{long}: 1}}, b: [{aliases}]}}"),
        format!("a: &a {{{}}}\nclouds: {{b: {{<<: [{aliases}]}}}}", "k: v, ".repeat(5)),
        "[".repeat(200_000),
        "{a: ".repeat(200_000),
        "- ".repeat(200_000),
        "? ".repeat(200_000),
        "!".repeat(200_000),
        "&a ".repeat(50_000),
        "clouds: [".to_owned() + &"&a [".repeat(60) + &long,
        "%".repeat(200_000),
        "\"\\u".repeat(50_000),
        format!("a: |{}\n", "9".repeat(1000)),
        format!("a: |9\n{}", " \n".repeat(100_000)),
        "---\n".repeat(50_000),
        "a:\n".to_owned() + &" ".repeat(200_000),
    ];
    // Nested aliases that expand tenfold per level.
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let below = vec![format!("*a{}", level - 1); 10].join(", ");
        laughs.extend([format!("a{level}: &a{level} [{below}]\n")]);
    }
    bombs.push(laughs);
    for bomb in bombs {
        load("clouds.yaml", bomb.as_bytes(), bomb.as_bytes());
        load("clouds.json", bomb.as_bytes(), b"");
    }
}

fn load(name: &str, clouds: &[u8], secure: &[u8]) {
    let directory = tempfile::tempdir().unwrap();
    let [clouds_at, secure_at] = [name, "secure.yaml"].map(|name| directory.path().join(name));
    fs::write(&clouds_at, clouds).unwrap();
    fs::write(&secure_at, secure).unwrap();
    fs::write(directory.path().join("clouds-public.yaml"), secure).unwrap();
    let variables = [("OS_CLIENT_CONFIG_FILE", clouds_at), ("OS_CLIENT_SECURE_FILE", secure_at)];
    let variables = variables.map(|(name, path)| (name.to_owned(), path.display().to_string()));
    bounded(clouds.len() + 2 * secure.len(), || {
        let Ok(clouds) = Clouds::load(Environment::new(variables, directory.path())) else {
            return;
        };
        let names: Vec<String> = clouds.names().map(str::to_owned).collect();
        let _ = clouds.default_name();
        for name in names {
            let _ = clouds.cloud(&name, &Overrides::default()).map(|cloud| format!("{cloud:?}"));
        }
    });
}

fn seeds() -> Vec<Vec<u8>> {
    [PLAIN, ANCHORS, JSON].map(|text| text.as_bytes().to_vec()).into()
}

const PLAIN: &str = "\
clouds:
  a:
    profile: vexxhost
    auth_type: v3applicationcredential
    auth:
      auth_url: https://keystone.example:5000/v3
      application_credential_id: 0123
      application_credential_secret: 'it''s secret'
    regions: [RegionOne, {name: RegionTwo, values: {interface: internal}}]
    verify: true
    cacert: ~/ca.pem
    image_endpoint_override: https://glance.example:9292
  b-c:
    auth: {auth_url: \"https://k/v3\", username: u, password: \"p\\u0041\\n\", project-name: x}
    region_name: RegionOne
    interface: public
    image_api_version: '2'
";

const ANCHORS: &str = "\
public-clouds: &p
  vexxhost: &base {auth: {auth_url: https://k/v3}, region_name: x}
clouds:
  d: {<<: *base, cert: /a, key: /b}
  e:
    <<: [*base, {interface: admin}]
    auth: &auth
      user_id: |-
        several
        lines
      token: >+
        folded

    auth_type: token
  f: {auth: *auth, networks: [{name: n, routes_externally: yes}]}
";

const JSON: &str = "{\"clouds\": {\"j\": {\"auth\": {\"auth_url\": \"https://k\\u0020/\", \
    \"password\": \"\\ud83d\\ude00\"}, \"verify\": false, \"timeout\": 1.5e3, \"x\": [null, [], {}]}}}";

const WORDS: &[&str] = &[
    "&a ",
    "*a",
    "<<: ",
    "<<: *a\n",
    "- ",
    ": ",
    "? ",
    "| ",
    ">-\n",
    "!!binary ",
    "!<tag> ",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "# ",
    "\n    ",
    "\t",
    "{",
    "}",
    "[",
    "]",
    ",",
    "~",
    "clouds:\n",
    "auth:\n",
    "regions: ",
    "profile: a\n",
];
