//! The checks in FIPS mode.

use std::fs;

use serde_json::{Value, json};

use super::openssl::{DEBIAN, PREFERRED, WITHOUT_PROVIDER};
use super::tool::Tool;
use crate::debian_root::Root;
use crate::demo_site::{Server, write_certificates, write_images};
use crate::failure::{Context, Failure};

/// Writes certificates, and images whose records have both digests. `outside`, the tool outside
/// FIPS mode, computes the digests.
pub(crate) fn set_stage(root: &Root, outside: &Tool<'_>) -> Result<(), Failure> {
    let stage = root.path("/stage");
    if stage.exists() {
        fs::remove_dir_all(&stage).context(|| stage.display().to_string())?;
    }
    write_images(&stage.join("old"))?;
    write_certificates(&stage, "localhost")?;
    write_image_with_md5_alone(root).context(|| "cannot write the image with MD5")?;
    outside.run(&["load", "/stage/old", "/stage/a"], 0, &["4 copied (4 by size only"])?;
    expect_digests(root, "/stage/a", &["checksum", "os_hash_value"])
}

/// `--require-fips` asks the OpenSSL library, and refuses a configuration that is nearly right.
pub(crate) fn what_is_not_in_fips_mode_does_not_start(native: &Tool<'_>) -> Result<(), Failure> {
    let refused = "FIPS mode is required";
    for (configuration, why) in [
        (DEBIAN, "no FIPS provider is active"),
        (WITHOUT_PROVIDER, "requests FIPS mode, but no FIPS provider is active"),
        (PREFERRED, "the default properties do not request it"),
    ] {
        let line = ["--require-fips", "size", "/stage/a"];
        native.with(configuration).run(&line, 2, &[refused, why, "openssl fipsinstall"])?;
    }
    Ok(())
}

/// Servers, copy and comparison work, and no part computes MD5.
pub(crate) fn images_are_copied_without_md5(root: &Root, tool: &Tool<'_>) -> Result<(), Failure> {
    tool.run(&["--version"], 0, &[", in FIPS mode"])?;
    let target = format!("/stage/b-{}", tool.name());
    let (a, b) = (tool.serve("/stage/a")?, tool.serve(&target)?);
    let demanded = ["--require-fips", "--cacert", CA];
    let line = |command| [&[command, a.url.as_str(), b.url.as_str()], &demanded[..]].concat();
    tool.run(&line("livecopy"), 0, &["4 copied and verified", "0 failed"])?;
    tool.run(&line("compare"), 0, &["4 images compared: 4 same"])?;
    expect_digests(root, &target, &["os_hash_value"])
}

/// An image that cannot be verified is named and not copied.
pub(crate) fn an_image_with_md5_alone_is_refused(
    root: &Root,
    tool: &Tool<'_>,
) -> Result<(), Failure> {
    let target = format!("/stage/c-{}", tool.name());
    let line = ["load", "/stage/md5", &target, "--require-fips"];
    let words = ["the image cannot be verified in FIPS mode: its only digest is md5", "1 failed"];
    tool.run(&line, 3, &words)?;
    match records(root, &target)?.as_slice() {
        [] => Ok(()),
        found => Err(Failure::new(format!("fips: {target} holds {found:?}"))),
    }
}

/// A server that offers no approved algorithm receives no request.
pub(crate) fn servers_without_approved_algorithms_are_refused(
    root: &Root,
    tool: &Tool<'_>,
) -> Result<(), Failure> {
    for offers in NOT_APPROVED {
        let server = openssl_server(root, offers)?;
        let line = ["size", &server.url, "--cacert", CA, "--require-fips"];
        tool.run(&line, 4, &["the server offers no secure TLS version or cipher"])?;
    }
    Ok(())
}

/// The handshake succeeds. The answer is `s_server`'s status page, not one of a Glance.
pub(crate) fn the_same_servers_are_reached_outside_fips_mode(
    root: &Root,
    outside: &Tool<'_>,
) -> Result<(), Failure> {
    for offers in NOT_APPROVED {
        let server = openssl_server(root, offers)?;
        outside.run(&["size", &server.url, "--cacert", CA], 3, &["the response is not JSON"])?;
    }
    Ok(())
}

/// OpenSSL's `s_server`, outside FIPS mode.
fn openssl_server(root: &Root, offers: &[&str]) -> Result<Server, Failure> {
    let mut command = root.command("openssl");
    command.env("OPENSSL_CONF", DEBIAN).args(["s_server", "-accept", "127.0.0.1:0", "-www"]);
    command.args(["-cert", "/stage/cert.pem", "-key", "/stage/key.pem"]).args(offers);
    Server::start(&mut command, "ACCEPT ")
}

/// An image dumped by the old tool, whose record has MD5 as the only digest.
fn write_image_with_md5_alone(root: &Root) -> std::io::Result<()> {
    let directory = root.path("/stage/md5");
    fs::create_dir_all(&directory)?;
    let record = json!({
        "id": ID, "name": "old", "status": "active", "size": 3, "disk_format": "raw",
        "container_format": "bare", "checksum": "900150983cd24fb0d6963f7d28e17f72",
        "is_public": false, "protected": false, "deleted": false, "properties": {},
    });
    fs::write(directory.join(ID), record.to_string())?;
    fs::write(directory.join(ID).with_extension("img"), "abc")
}

/// Fails unless the images of a dump have exactly these digests.
fn expect_digests(root: &Root, dump: &str, wanted: &[&str]) -> Result<(), Failure> {
    for record in records(root, dump)? {
        let image = &record["image"];
        let has = |field: &&str| image[*field].is_string();
        let found: Vec<&str> = ["checksum", "os_hash_value"].into_iter().filter(has).collect();
        if found != wanted || image["os_hash_algo"] != "sha512" {
            return Err(Failure::new(format!("fips: {dump} should have {wanted:?}: {image}")));
        }
    }
    Ok(())
}

/// Reads the records of a dump.
fn records(root: &Root, dump: &str) -> Result<Vec<Value>, Failure> {
    let mut records = Vec::new();
    for entry in fs::read_dir(root.path(dump)).context(|| dump.to_owned())? {
        let path = entry.context(|| dump.to_owned())?.path();
        let is_record = path.extension().is_some_and(|it| it == "json");
        if is_record && !path.ends_with("manifest.json") {
            let text = fs::read(&path).context(|| path.display().to_string())?;
            records.push(serde_json::from_slice(&text).context(|| path.display().to_string())?);
        }
    }
    Ok(records)
}

const CA: &str = "/stage/ca.pem";
const ID: &str = "6d55dd55-053a-4765-b7bc-b30df0ea3861";

/// Options of servers that offer no approved algorithm.
const NOT_APPROVED: [&[&str]; 3] = [
    &["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"],
    &["-tls1_3", "-groups", "X25519"],
    &["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"],
];
