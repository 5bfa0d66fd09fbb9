//! `--via glance-download` and `auto`: the target downloads the data from the source.

use std::process::Command;

use glance_core::ImageStore;
use glance_core::image::{
    Attributes, Image, ImageId, Member, MemberStatus, Owner, Status, Visibility,
};
use glance_core::store::Activation;

use crate::suites::cloud::via::{Scene, attributes, mebibytes};

/// The bytes of all requests and answers of the tool since these marks, according to the access
/// logs.
fn bytes_since(scene: &Scene, marks: &[(&str, usize)]) -> u64 {
    let count = |line: &str, field: &str| -> u64 {
        let value = line.split(' ').find_map(|word| word.strip_prefix(field));
        value.unwrap().parse().unwrap()
    };
    let of_server = |(server, mark): &(&str, usize)| {
        let lines = scene.cloud.requests_since(server, *mark);
        let ours = lines.iter().filter(|line| line.contains("agent=\"glance-replicator"));
        ours.map(|line| count(line, "in=") + count(line, "out=")).sum::<u64>()
    };
    marks.iter().map(of_server).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gibibyte_does_not_pass_through_here() {
    let scene = Scene::alone().await;
    let servers = ["a", "b", "keystone"];
    let mut image = a_gibibyte(&scene, 1).await;
    let mut marks = servers.map(|server| (server, scene.cloud.mark(server)));
    let mut run = scene.cloud.replicator(&import_line(&image.id));
    // Once, Glance's task stood still for good.
    if run.stderr.contains("the target's import has not ended: ") {
        run.exits(3);
        image = a_gibibyte(&scene, 2).await;
        marks = servers.map(|server| (server, scene.cloud.mark(server)));
        run = scene.cloud.replicator(&import_line(&image.id));
    }
    let run = run.exits(0);
    assert!(
        run.stdout.contains("(1.0 GiB), verified (sha512), imported by the target\n"),
        "{}",
        run.stdout
    );
    let bytes = bytes_since(&scene, &marks);
    assert!((4096..1 << 20).contains(&bytes), "{bytes} bytes passed through here");
    let dropped = scene.b.get(&image.id).await.unwrap();
    assert_eq!(dropped.attributes.properties.get("hw_disk_bus"), None);

    let line = ["sync", "a", "b", "--via", "auto", "--id", image.id.as_str()];
    scene.cloud.replicator(&line).exits(0);
    scene.assert_same(&image.id);
    let file = scene.cloud.directory.join("glance-b/fast").join(image.id.as_str());
    let digest = Command::new("sha512sum").arg(file).output().unwrap().stdout;
    let digest = String::from_utf8(digest).unwrap();
    assert_eq!(digest.split(' ').next(), image.os_hash_value.as_deref());
}

/// A protected, shared image of 1 GiB at A.
async fn a_gibibyte(scene: &Scene, seed: u64) -> Image {
    let member = |project: &str, status| Member { project: scene.cloud.project(project), status };
    let properties = [("hw_disk_bus", "scsi"), ("os_distro", "debian"), ("own", "value")];
    let wanted = Attributes {
        owner: Owner::Project(scene.cloud.project("Default/proj1")),
        visibility: Visibility::Shared,
        min_ram: 64,
        tags: ["one".to_owned()].into(),
        properties: properties.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        ..attributes("a gibibyte")
    };
    let image = scene.image(wanted, mebibytes(1024, seed)).await;
    let members = [
        member("Default/proj2", MemberStatus::Accepted),
        member("partners/proj1", MemberStatus::Rejected),
    ];
    scene.a.set_members(&image.id, &members).await.unwrap();
    let protected = Attributes { protected: true, ..image.attributes.clone() };
    scene.a.update(&image, &protected).await.unwrap();
    image
}

/// The command that lets B import an image of A. Glance's import copies `hw_disk_bus` although the
/// mapping drops it.
fn import_line(id: &ImageId) -> [&str; 9] {
    let id = id.as_str();
    ["livecopy", "a", "b", "--via", "glance-download", "--id", id, "-D", "hw_disk_bus"]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_target_cannot_get_is_sent_from_here() {
    let scene = Scene::new().await;
    let image = scene.image(attributes("deactivated"), mebibytes(1, 2)).await;
    scene.a.set_activation(&image.id, Activation::Deactivated).await.unwrap();
    let line = ["livecopy", "a", "b", "--via", "glance-download", "--id", image.id.as_str()];
    let run = scene.cloud.replicator(&[&line[..], &["--no-fallback"]].concat()).exits(3);
    assert!(run.stderr.contains("the image is deactivated at the source"), "{}", run.stderr);
    assert!(scene.b.get(&image.id).await.is_err());
    let run = scene.cloud.replicator(&[&line[..], &["--output", "json"]].concat()).exits(0);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let outcome = &report["images"][0];
    assert_eq!((&outcome["result"], &outcome["way"]), (&"copied".into(), &"streamed".into()));
    let reason = outcome["notes"][0].as_str().unwrap();
    assert!(reason.contains("the image is deactivated at the source"), "{reason}");
    scene.assert_same(&image.id);
}

/// The import fails after its start, because the token's user cannot see the source's image.
#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_fails_leaves_a_record_that_takes_the_data() {
    let scene = Scene::new().await;
    let image = scene.image(attributes("private"), mebibytes(1, 3)).await;
    let line = ["livecopy", "a", "alice-b", "--via", "auto", "--owner", "caller", "--id"];
    let line = [&line[..], &[image.id.as_str()]].concat();
    let run = scene.cloud.replicator(&[&line[..], &["--no-fallback"]].concat()).exits(3);
    assert!(run.stderr.contains("glance-download: the import failed"), "{}", run.stderr);
    let left = scene.b.get(&image.id).await.unwrap();
    assert_eq!((left.status, left.attributes.visibility), (Status::Queued, Visibility::Private));
    let run = scene.cloud.replicator(&line).exits(0);
    assert!(run.stdout.contains("completed: "), "{}", run.stdout);
    assert!(
        run.stdout
            .contains("streamed through this process, not imported by the target: glance-download")
    );
    let there = scene.b.get(&image.id).await.unwrap();
    assert_eq!((there.status, &there.os_hash_value), (Status::Active, &image.os_hash_value));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_image_can_be_imported_it_is_said_once() {
    let scene = Scene::new().await;
    let image = scene.image(attributes("to another cloud"), mebibytes(1, 4)).await;
    let dump = tempfile::tempdir().unwrap();
    let path = dump.path().to_str().unwrap();
    scene.cloud.replicator(&["dump", "a", path, "--id", image.id.as_str()]).exits(0);
    for (from, to, reason) in [
        ("a", "c", "the target does not offer the import method glance-download"),
        ("c", "b", "the two sides use different Keystones"),
        (path, "b", "the source is not a Glance"),
    ] {
        let line = ["livecopy", from, to, "--id", image.id.as_str(), "--via"];
        let run = scene.cloud.replicator(&[&line[..], &["auto"]].concat()).exits(0);
        let said = format!(
            "the data passes through this machine, because the target cannot import it: {reason}"
        );
        assert_eq!(run.stderr.matches(&said).count(), 1, "{}", run.stderr);
        let line = [&line[..], &["glance-download", "--no-fallback"]].concat();
        let run = scene.cloud.replicator(&line).exits(2);
        assert!(run.stderr.contains(reason), "{}", run.stderr);
    }
    let there = scene.b.get(&image.id).await.unwrap();
    assert_eq!(there.os_hash_value, image.os_hash_value);
    let c = crate::suites::cloud::via::glance(&scene.cloud, "c").await;
    assert_eq!(c.get(&image.id).await.unwrap().checksum, image.checksum);
    c.delete(&image.id).await.unwrap();
}
