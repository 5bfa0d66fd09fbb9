//! A dump that does not fit on its filesystem.

use std::fs;
use std::path::Path;

use crate::support::common::cleared;
use crate::support::old_dump::{ID, OTHER_ID, write_old_image};

/// Runs the tool in a mount namespace with a filesystem of 8 MiB at the directory `small`.
fn on_a_small_filesystem(small: &str, line: &[&str]) -> (i32, String) {
    let mount = format!("mount -t tmpfs -o size=8m,mode=700 small {small}");
    let keep = format!("ls -l {small}/dump; cat {small}/dump/*.json");
    let shell = format!("{mount}; \"$@\" || code=$?; {keep} || true; exit ${{code:-0}}");
    let mut command = cleared(std::process::Command::new("unshare"));
    command.args(["-m", "sh", "-ec", &shell, "sh"]);
    command.arg(env!("CARGO_BIN_EXE_glance-replicator-under-test")).args(line);
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (output.status.code().unwrap(), text.concat())
}

/// Requires root, to mount a filesystem.
#[test]
fn a_dump_without_room_is_refused_or_keeps_what_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (old, small) = (path("old"), path("small"));
    fs::create_dir(&old).unwrap();
    fs::create_dir(&small).unwrap();
    let noise: Vec<u8> =
        (0..3 << 20_u32).map(|at: u32| at.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    for (id, bytes) in [(ID, 3 << 20), (OTHER_ID, 6 << 20)] {
        let data: Vec<u8> = noise.iter().cycle().take(bytes).copied().collect();
        write_old_image(Path::new(&old), id, bytes as u64, &data);
        let record = fs::read_to_string(Path::new(&old).join(id)).unwrap();
        let record = record.replace("\"900150983cd24fb0d6963f7d28e17f72\"", "null");
        fs::write(Path::new(&old).join(id), record).unwrap();
    }
    let (old, dump) = (format!("dir:{old}"), format!("{small}/dump"));
    let (code, said) = on_a_small_filesystem(&small, &["dump", &old, &dump]);
    assert_eq!(code, 8, "{said}");
    for words in ["needs 9437184 bytes (9.0 MiB)", "(8.0 MiB) free", "hint: free space"] {
        assert!(said.contains(words), "no {words:?} in {said}");
    }
    assert!(!said.contains(".img"), "{said}");

    // An image that would only fit if compressed is tried, and one of the two fits.
    let line = ["load", &old, &dump, "--transfers", "1"];
    let (code, said) = on_a_small_filesystem(&small, &line);
    assert_eq!(code, 8, "{said}");
    let partial = format!("the file {OTHER_ID}.img.partial failed");
    for words in
        [&partial, "No space left on device", "hint: free space, then run the command again"]
    {
        assert!(said.contains(words), "no {words:?} in {said}");
    }
    assert!(said.contains(&format!("{ID}.img\n")), "{said}");
    assert!(!said.contains(&format!("{OTHER_ID}.img\n")), "{said}");
    assert!(said.contains("\"complete\": false"), "{said}");
}
