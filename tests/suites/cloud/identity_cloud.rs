//! Compares the recorded results of openstacksdk in the suite `identity` with the openstacksdk of
//! `cargo xtask cloud up`.

use std::path::Path;
use std::process::Command;

/// Runs openstacksdk again, so that a changed behaviour of a new release is noticed.
#[test]
fn openstacksdk_still_resolves_the_cases_as_recorded() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let python = target.join("cloud/venv/bin/python");
    assert!(python.exists(), "openstacksdk is not there: run `cargo xtask cloud up`");
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("identity");
    let output = Command::new(python)
        .args(["-B", "generate.py", "--check", "expected.json"])
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
