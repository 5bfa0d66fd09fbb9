//! Compares the check of an image's first bytes with a real Glance (`cargo xtask cloud up`) and
//! with Glance's own code.
#![allow(clippy::cast_possible_truncation, reason = "small images")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use glance_client::GlanceStore;
use glance_core::content_format::HEAD;
use glance_core::store::ImageStore;
use keystone_auth::Session;

use crate::support::content::disks::Random;
use crate::support::content::table::{Case, cases};
use crate::support::content::{agree, all_refused, judge};
use crate::support::real_cloud::{Cloud, STACKS, transport};

#[tokio::test]
async fn a_real_glance_judges_the_table_the_same() {
    let refused = all_refused(&*real_glance(&Cloud::find())).await;
    agree(&refused, "the real Glance");
}

#[test]
fn no_bytes_cause_a_panic_and_glances_own_code_agrees() {
    let mutants = mutants();
    let theirs = verdicts(&Cloud::find(), &mutants);
    assert_eq!(theirs.len(), mutants.len());
    let (mut refused, mut wrong) = (0, Vec::new());
    for ((disk, data), theirs) in mutants.iter().zip(theirs) {
        let ours = judge((disk, "bare"), data);
        refused += usize::from(ours.is_err());
        if ours.is_ok() != (theirs == "ok") {
            let head = String::from_utf8_lossy(&data[..data.len().min(700)]).into_owned();
            wrong.push(format!("{disk}, {} bytes: {ours:?}, {theirs}\n{head:?}", data.len()));
        }
    }
    let all = mutants.len();
    assert!(wrong.is_empty(), "{} of {all} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    let accepted = all - refused;
    assert!(refused > 400 && accepted > 400, "{refused} refused, {accepted} accepted");
}

/// The table's images with random changes, under another format's name, or truncated.
fn mutants() -> Vec<(&'static str, Vec<u8>)> {
    let disks = ["raw", "qcow2", "vhd", "vhdx", "vmdk", "vdi", "iso", "ploop"];
    let mut random = Random(2);
    let mut mutants = Vec::new();
    // Glance may refuse a larger image for data behind the head.
    let cases = cases().into_iter().filter(|case| case.data.len() <= HEAD);
    for Case { formats, data, .. } in cases {
        for _ in 0..24 {
            let mut data = data.clone();
            for _ in 0..random.below(4) {
                let reach = [80, 512, 1024, usize::MAX][random.below(4)];
                let at = random.below(data.len().min(reach));
                let value = [0, 1, 4, b'"', b'/', b'\n', random.byte()][random.below(7)];
                if let Some(byte) = data.get_mut(at) {
                    *byte = value;
                }
            }
            if random.below(4) == 0 {
                data.truncate(random.below(data.len()));
            }
            let other = random.below(3 * disks.len());
            mutants.push((disks.get(other).copied().unwrap_or(formats.0), data));
        }
    }
    mutants
}

/// The real Glance B, through the first TLS stack of this build. The stack makes no difference
/// here.
fn real_glance(cloud: &Cloud) -> Arc<dyn ImageStore> {
    let configured = cloud.configured("b");
    let transport = transport(STACKS[0], &configured);
    let session = Arc::new(Session::new(Arc::clone(&transport), configured.auth));
    Arc::new(GlanceStore::new("b", transport, cloud.text("b"), session))
}

/// The verdicts of `verdicts.py` on images.
fn verdicts(cloud: &Cloud, images: &[(&str, Vec<u8>)]) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("images");
    let packed = images.iter().flat_map(|(disk, data)| {
        let size = (data.len() as u64).to_be_bytes();
        [&size[..], &[disk.len() as u8], disk.as_bytes(), data].concat()
    });
    fs::write(&path, packed.collect::<Vec<u8>>()).unwrap();
    let output = Command::new(cloud.directory.join("venv/bin/python"))
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("cloud/standalone/verdicts.py"))
        .arg(path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}
