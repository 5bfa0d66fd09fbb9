//! The kill sweep between embedded servers and directories.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use glance_core::Body;
use glance_core::image::provenance;
use glance_core::image::{Attributes, Image, ImageId, Member, MemberStatus, Status, Visibility};
use glance_core::store::memory::MemoryStore;
use glance_core::store::{Activation, ByteRange, ImageStore};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::support::extent::extent;
use crate::support::site::{Site, TOKEN};
use crate::support::stack::Stack;
use crate::support::sweep::{Ground, Work, keep, sweep};

#[test]
fn what_is_killed_at_any_instant_is_mended_by_the_next_run() {
    let mut ground = Embedded::new();
    let names = ground.stacks();
    keep("kills.md", &sweep(&mut ground, &names, extent("ENDURE_KILLS", 24)));
}

pub(crate) struct Embedded {
    runtime: Runtime,
    stacks: Vec<Arc<Stack>>,
    source: Site,
    target: Site,
    images: Vec<Image>,
    /// Holds the certificate, the token, and a dump of the source.
    directory: TempDir,
    /// Holds the dump and the state of the current round.
    round: TempDir,
}

impl Embedded {
    pub(crate) fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let (stacks, ca) = Stack::all_and_ca();
        let (source, target, images) = runtime.block_on(async {
            let source = Site::open(&stacks[0], &[]).await;
            let images = fill(&source.kept).await;
            let target = Site::open(&stacks[0], &images).await;
            (source, target, images)
        });
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), ca).unwrap();
        std::fs::write(directory.path().join("token"), TOKEN).unwrap();
        let round = tempfile::tempdir().unwrap();
        Self { runtime, stacks, source, target, images, directory, round }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn dump(&self) -> PathBuf {
        self.round.path().join("dump")
    }
}

impl Ground for Embedded {
    fn clear(&mut self, work: Work) {
        // A new server without images, at another address.
        let opened = Site::open(&self.stacks[0], &self.images);
        self.target = self.runtime.block_on(opened);
        self.round = tempfile::tempdir().unwrap();
        if work == Work::Load && !self.path("whole").exists() {
            let line = self.line(Work::Dump, self.stacks[0].name);
            let whole = self.path("whole").display().to_string();
            let line: Vec<&str> = line
                .iter()
                .map(|word| if *word == self.dump().display().to_string() { &whole } else { word })
                .map(String::as_str)
                .collect();
            crate::support::common::replicator_with(&line, &[]).exits(0);
        }
    }

    fn line(&self, work: Work, stack: &str) -> Vec<String> {
        let (a, b) = (self.source.url.clone(), self.target.url.clone());
        let path = |path: PathBuf| path.display().to_string();
        let mut line: Vec<String> = match work {
            Work::Livecopy => vec!["livecopy".into(), a, b],
            Work::Sync => vec!["sync".into(), a, b],
            Work::Dump => vec!["dump".into(), a, path(self.dump())],
            Work::Load => vec!["load".into(), path(self.path("whole")), b],
        };
        line.extend(["--cacert".into(), path(self.path("ca.pem"))]);
        line.extend(["--token-file".into(), path(self.path("token"))]);
        line.extend(["--tls".into(), stack.to_owned()]);
        // No Keystone is available to look up project names.
        line.extend(["--owner".into(), "keep".into()]);
        // Slow enough that most instants fall into a data transfer.
        line.extend(["--bwlimit".into(), "12M".into()]);
        line
    }

    fn variables(&self) -> Vec<(String, String)> {
        let state = self.round.path().join("state").display().to_string();
        vec![("XDG_STATE_HOME".to_owned(), state)]
    }

    fn look(&mut self, work: Work) -> (usize, Vec<String>) {
        if work == Work::Dump {
            let whole =
                |image: &&Image| record_of(&self.dump(), &image.id)["image"]["status"] == "active";
            return (self.images.iter().filter(whole).count(), Vec::new());
        }
        let kept = &self.target.kept;
        let status = |image: &Image| self.runtime.block_on(kept.get(&image.id));
        let whole = |image: &&Image| status(image).is_ok_and(|there| there.status.has_data());
        let whole = self.images.iter().filter(whole).count();
        (whole, self.target.watch.violations())
    }

    fn judge(&mut self, work: Work) -> Vec<String> {
        self.judge_those(work, |_| true)
    }
}

impl Embedded {
    /// The names of the TLS stacks.
    pub(crate) fn stacks(&self) -> Vec<&'static str> {
        self.stacks.iter().map(|stack| stack.name).collect()
    }

    /// The differences between target and source, for images whose name satisfies `is_meant`.
    pub(crate) fn judge_those(&self, work: Work, is_meant: impl Fn(&str) -> bool) -> Vec<String> {
        let mut found = Vec::new();
        for image in &self.images {
            if !image.attributes.name.as_deref().is_some_and(&is_meant) {
                continue;
            }
            let differences = match work {
                Work::Dump => self.differs_in_dump(image),
                _ => self.runtime.block_on(self.target.differences(&self.source, &image.id)),
            };
            let of_the_replica = |field: &String| !provenance::ALL.contains(&field.as_str());
            let differences: Vec<String> = differences.into_iter().filter(of_the_replica).collect();
            if !differences.is_empty() {
                found.push(format!("{}: {differences:?}", image.id));
            }
        }
        if work == Work::Dump {
            found.extend(check_sums(&self.dump()));
        }
        found
    }

    /// The differences between an image's dump files and the source, read without our code.
    fn differs_in_dump(&self, image: &Image) -> Vec<String> {
        let found = record_of(&self.dump(), &image.id);
        let data = std::fs::read(self.dump().join(format!("{}.img", image.id))).unwrap_or_default();
        let (kept, members) = self.runtime.block_on(async {
            let kept = self.source.kept.read(&image.id, ByteRange::ALL).await.unwrap();
            let members = self.source.kept.members(&image.id).await.unwrap_or_default();
            (kept.collect(usize::MAX).await.unwrap(), members)
        });
        let members: Vec<Value> = members
            .iter()
            .map(|one| json!({"member_id": one.project, "status": one.status.as_str()}))
            .collect();
        let record = Value::Object(image.to_json());
        let keys = record.as_object().unwrap().keys();
        let mut differ: Vec<String> = keys
            // A Glance knows the virtual size of raw data, the store behind it does not.
            .filter(|key| *key != "virtual_size")
            .filter(|key| record[key.as_str()] != found["image"][key.as_str()])
            .cloned()
            .collect();
        differ.extend((data != kept).then(|| "data".to_owned()));
        let same_members = *found["members"].as_array().unwrap_or(&Vec::new()) == members;
        differ.extend((!same_members).then(|| format!("members {}", found["members"])));
        differ
    }
}

fn record_of(dump: &Path, id: &ImageId) -> Value {
    let text = std::fs::read_to_string(dump.join(format!("{id}.json"))).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

/// Checks the digests with coreutils as `docs/dump-format.md` describes, and that the dump has no
/// files left over.
fn check_sums(dump: &Path) -> Vec<String> {
    let mut sums = Command::new("sha512sum");
    let output = sums.args(["-c", "--quiet", "SHA512SUMS"]).current_dir(dump).output().unwrap();
    let mut found = Vec::new();
    if !output.status.success() {
        found.push(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let names = std::fs::read_dir(dump).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    found.extend(names.filter(|name| [".partial", ".new"].iter().any(|end| name.ends_with(end))));
    found
}

/// Creates eight images that together have every attribute of an image, with 0 to 4 MiB of data.
async fn fill(store: &MemoryStore) -> Vec<Image> {
    let member = |project: &str, status| Member { project: project.to_owned(), status };
    let mut images = Vec::new();
    for (number, (name, visibility, size)) in IMAGES.into_iter().enumerate() {
        let id: ImageId = format!("00000000-0000-4000-8000-{number:012}").parse().unwrap();
        let mut attributes = Attributes {
            name: Some(name.to_owned()),
            visibility,
            disk_format: Some("raw".to_owned()),
            container_format: Some("bare".to_owned()),
            tags: [format!("tag {number}"), "all".to_owned()].into(),
            properties: [("odd/name~".to_owned(), format!("ü {number}"))].into(),
            ..Attributes::default()
        };
        match name {
            "everything" => {
                (attributes.protected, attributes.os_hidden) = (true, true);
                (attributes.min_disk, attributes.min_ram) = (3, 64);
            }
            "machine" => {
                let kernel = images.first().map(|image: &Image| image.id.to_string());
                attributes.properties.insert("kernel_id".to_owned(), kernel.unwrap());
            }
            _ => {}
        }
        store.create(&Image::queued(id.clone(), attributes)).await.unwrap();
        let data: Bytes = (0..size)
            .map(|at| u8::try_from((at * 31 / 7 + number) % 256).unwrap_or_default())
            .collect();
        store.upload(&id, Body::from(data)).await.unwrap();
        if visibility == Visibility::Shared {
            let (accepted, rejected) = (MemberStatus::Accepted, MemberStatus::Rejected);
            let members = [member("p", accepted), member("q", rejected)];
            store.set_members(&id, &members).await.unwrap();
        }
        if name == "everything" {
            store.set_activation(&id, Activation::Deactivated).await.unwrap();
        }
        images.push(store.get(&id).await.unwrap());
    }
    assert!(images.iter().any(|image| image.status == Status::Deactivated));
    images
}

const IMAGES: [(&str, Visibility, usize); 8] = [
    ("kernel", Visibility::Public, 3),
    ("machine", Visibility::Public, 1 << 20),
    ("everything", Visibility::Shared, 700_001),
    ("shared", Visibility::Shared, 65_536),
    ("empty", Visibility::Community, 0),
    ("large", Visibility::Public, 4 << 20),
    ("private", Visibility::Private, 12_345),
    ("medium", Visibility::Public, 300_000),
];
