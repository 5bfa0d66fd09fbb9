//! Copies that outlast their tokens, with a real Keystone whose tokens live for one minute.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use glance_client::GlanceStore;
use glance_core::image::{Attributes, Image, ImageId, Visibility};
use glance_core::{Body, ImageStore};
use keystone_auth::Session;

use crate::support::real_cloud::{Cloud, STACKS, reset, transport, xtask_cloud};

/// Limits the lifetime of Keystone's tokens to one minute while this value lives.
struct Minute;

impl Minute {
    fn begin() -> Self {
        xtask_cloud(&["token-life", "60"]);
        Self
    }
}

impl Drop for Minute {
    fn drop(&mut self) {
        xtask_cloud(&["token-life", "14400"]);
    }
}

/// Bytes per second of each copy, for `--bwlimit`. Copying the large image takes longer than a
/// token lives, and the small images follow.
const RATE: &str = "100k";
const LARGE: usize = 9500 * 1024;
const SMALL: usize = 475 * 1024;
const SMALL_IMAGES: usize = 20;

#[test]
fn copies_outlive_their_tokens_unless_these_are_raw() {
    let cloud = Cloud::find();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for glance in ["a", "b"] {
        reset(glance);
        runtime.block_on(fill(&cloud, glance));
    }
    let minute = Minute::begin();
    refuses_raw_tokens(&cloud, &runtime.block_on(cloud.token("a")));
    // The copies run in opposite directions, so that neither copies images that the other creates.
    std::thread::scope(|scope| {
        for (stack, [from, to]) in STACKS.iter().zip([["a", "b"], ["b", "a"]]) {
            let cloud = &cloud;
            scope.spawn(move || outlives_its_tokens(cloud, stack, from, to));
        }
    });
    drop(minute);
    cloud.replicator(&["compare", "a", "b"]).exits(0);
    reset("a");
    reset("b");
}

async fn fill(cloud: &Cloud, name: &str) {
    let configured = cloud.configured(name);
    let transport = transport(STACKS[0], &configured);
    let session = Arc::new(Session::new(Arc::clone(&transport), configured.auth));
    let store = GlanceStore::new(name, transport, cloud.text(name), session);
    for size in [LARGE].into_iter().chain([SMALL; SMALL_IMAGES]) {
        let attributes = Attributes {
            visibility: Visibility::Private,
            disk_format: Some("raw".into()),
            container_format: Some("bare".into()),
            ..Attributes::default()
        };
        let image = Image::queued(ImageId::random(), attributes);
        store.create(&image).await.unwrap();
        store.upload(&image.id, Body::from(Bytes::from(vec![7; size]))).await.unwrap();
    }
}

fn outlives_its_tokens(cloud: &Cloud, stack: &str, from: &str, to: &str) {
    // The user agent's TLS library identifies the requests of this run.
    let library = if stack == "rustls" { "(rustls" } else { "(OpenSSL" };
    let sign_ins = || cloud.requests("keystone", &[" 201 POST /v3/auth/tokens ", library]).len();
    let (before, begin) = (sign_ins(), Instant::now());
    let line =
        ["livecopy", from, to, "--tls", stack, "--bwlimit", RATE, "--transfers", "2", "--debug"];
    let run = cloud.replicator(&line).exits(0);
    let copied = format!("{} copied and verified", SMALL_IMAGES + 1);
    assert!(run.stdout.contains(&copied), "{stack}: {}{}", run.stdout, run.stderr);
    let took = begin.elapsed();
    assert!(took > Duration::from_secs(180), "{stack}: it took only {took:?}");
    let signed_in = sign_ins() - before;
    assert!((6..=60).contains(&signed_in), "{stack}: signed in {signed_in} times");
}

/// The error names the token's remaining lifetime, the bytes and the estimated time.
fn refuses_raw_tokens(cloud: &Cloud, token: &str) {
    let ca = [("OS_TOKEN", token), ("OS_CACERT", cloud.text("ca"))];
    let known = [&ca[..], &[("OS_AUTH_URL", cloud.text("keystone"))]].concat();
    let traded = [
        ("OS_AUTH_TYPE", "v3token"),
        ("OS_REGION_NAME", "RegionA"),
        ("OS_PROJECT_NAME", "admin"),
        ("OS_PROJECT_DOMAIN_NAME", "Default"),
    ];
    let traded = [&known[..], &traded[..]].concat();
    for (from, to, variables, side) in [
        (cloud.text("a"), "b", &known, "source"),
        ("b", cloud.text("a"), &known, "target"),
        ("envvars", "b", &traded, "source"),
    ] {
        let line = ["livecopy", from, to, "--bwlimit", RATE];
        let run = cloud.replicator_with(&line, variables).exits(5);
        let start = format!("error: the {side}'s token expires in ");
        assert!(run.stderr.contains(&start), "{}", run.stderr);
        let estimate =
            " s and cannot be renewed. Copying 18.6 MiB takes at least 3 min 10 s at 100.0 KiB/s";
        assert!(run.stderr.contains(estimate), "{}", run.stderr);
        assert!(run.stderr.contains("auth_type: v3applicationcredential"), "{}", run.stderr);
        assert!(run.stdout.is_empty(), "{}", run.stdout);
    }
}
