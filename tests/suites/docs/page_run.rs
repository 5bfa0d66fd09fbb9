//! Runs the commands of a page, in the order of the page, in one shell.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use super::block::{Block, Kind, Page};
use crate::support::old_dump::{ID, write_old_image};
use crate::support::stage::Stage;

/// What is wrong with the commands of a page.
pub(super) fn faults(page: &Page) -> Vec<String> {
    let stage = Stage::new();
    let directory = stage.directory.path().join("page");
    prepare(&stage, &directory);
    let script = script(page, &stage);
    fs::write(directory.join(SCRIPT), &script).unwrap();
    let mut bash = stage.shell("bash");
    bash.arg(SCRIPT).current_dir(&directory).env("XDG_STATE_HOME", directory.join("state"));
    // Servers in the background keep these open, so they are not pipes.
    let ended = bash.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    let read = |name: &str| fs::read_to_string(directory.join(name)).unwrap_or_default();
    if !ended.success() {
        let number = read("at");
        let said = read(&format!("output.{}", number.trim()));
        let command = commands(page).nth(number.trim().parse().unwrap()).unwrap();
        return vec![format!("{}:{}: {ended}:\n{}\n{said}", page.name, command.0.line, command.1)];
    }
    let mut faults = Vec::new();
    for (number, (block, command, shown)) in commands(page).enumerate() {
        let said = read(&format!("output.{number}"));
        for line in shown.iter().filter(|line| !said.lines().any(|said| matches(line, said))) {
            let place = format!("{}:{}", page.name, block.line);
            faults.push(format!("{place}: `{command}` did not print\n{line}\nbut\n{said}"));
        }
    }
    faults
}

/// The commands of a page and the output that each one shows.
fn commands(page: &Page) -> impl Iterator<Item = (&Block, String, Vec<String>)> {
    let blocks = page.blocks.iter().filter(|block| block.runs());
    blocks.flat_map(|block| {
        block.steps().into_iter().map(move |(command, shown)| (block, command, shown))
    })
}

/// The files that the pages take for granted.
fn prepare(stage: &Stage, directory: &Path) {
    fs::create_dir_all(directory.join("old")).unwrap();
    write_old_image(&directory.join("old"), ID, 3, b"abc");
    let above = stage.directory.path();
    for (from, to) in [
        ("ca.pem", "ca.pem"),
        ("cert.pem", "cert.pem"),
        ("key.pem", "key.pem"),
        ("cert.pem", "server.pem"),
        ("cert.pem", "client.pem"),
        ("key.pem", "client.key"),
    ] {
        fs::copy(above.join(from), directory.join(to)).unwrap();
    }
    // `ssh HOST COMMAND` runs the command here.
    let ssh = above.join("ssh");
    fs::write(&ssh, "#!/bin/sh\nshift\nexec sh -c \"$*\"\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(ssh, mode).unwrap();
}

/// A script that runs the commands, and stops at the first that fails.
fn script(page: &Page, stage: &Stage) -> String {
    let clouds = fs::read_to_string(stage.directory.path().join("clouds.yaml")).unwrap();
    let clouds: Value = serde_json::from_str(&clouds).unwrap();
    let url = clouds["clouds"]["paris"]["image_endpoint_override"].as_str().unwrap();
    let paris = url.strip_prefix("https://").unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut script = "trap 'kill $(jobs -p) 2> kill || true' EXIT\nset -e -o pipefail\n".to_owned();
    let mut number = 0;
    for block in &page.blocks {
        if let Kind::File(name) = &block.kind {
            let end = "END OF FILE";
            script.extend(["cat > '", name, "' <<'", end, "'\n", &block.text, end, "\n"]);
        }
        for (command, _) in block.steps().into_iter().filter(|_| block.runs()) {
            let (here, command) = (number.to_string(), expecting(&command));
            script.extend(["echo ", &here, " > at\n{\n", &command, "\n} > output.", &here]);
            script.push_str(" 2>&1\n");
            number += 1;
        }
    }
    script.replace("glance.example.org:9292", paris).replace("127.0.0.1:9292", &free.to_string())
}

/// The command, with each line that has a comment about its exit code replaced by a check of it.
fn expecting(command: &str) -> String {
    let mut lines = Vec::new();
    for line in command.replace("\\\n", " ").lines() {
        let code =
            line.split_once(" # ").and_then(|(_, comment)| comment.rsplit_once("exit code "));
        match code.map(|(_, code)| code.trim().parse::<u8>()) {
            Some(Ok(code)) => lines.push(format!(
                "code=0\n{{ {line}\n}} || code=$?\n[ $code = {code} ] || {{ echo \"exit code $code, not {code}\"; false; }}"
            )),
            _ => lines.push(line.to_owned()),
        }
    }
    lines.join("\n")
}

/// Whether the line is the shown one, in which `…` stands for any text.
fn matches(shown: &str, line: &str) -> bool {
    let mut parts = shown.trim_end().split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.trim_end().strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        (rest, last) = (after, Some(part));
    }
    match last {
        None => rest.is_empty(),
        // Nothing may follow the last word, unless the shown line ends with `…`.
        Some(last) => last.is_empty() || line.trim_end().ends_with(last),
    }
}

/// The name of the script. Shells say it in their messages.
const SCRIPT: &str = "script";

#[test]
fn an_ellipsis_stands_for_any_text() {
    for (shown, line, expected) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("a…", "ab", true),
        ("…b", "ab", true),
        ("…b", "abc", false),
        ("a…c", "abc", true),
        ("a … c", "a b b c", true),
        ("a…c", "abcd", false),
        ("a…b…", "ac", false),
    ] {
        assert_eq!(matches(shown, line), expected, "{shown} {line}");
    }
}
