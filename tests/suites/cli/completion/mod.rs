//! Completion in shells: the words that the tool offers, and what each shell makes of them.

#[cfg(feature = "full")]
mod shells;

use std::fs;

use serde_json::{Value, json};

use crate::suites::cli::replicator;
use crate::support::common::COMMANDS;
use crate::support::stage::Stage;

/// Clouds, of which `lyon` has two regions, and the dump `images` of `paris`.
fn stage() -> Stage {
    let stage = Stage::new();
    stage.run("glance-replicator dump paris ./images", 0);
    let path = |name: &str| stage.directory.path().join(name);
    let file = path("clouds.yaml");
    let mut clouds: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    clouds["clouds"]["lyon"]["regions"] = json!(["RegionOne", "RegionTwo"]);
    fs::write(&file, clouds.to_string()).unwrap();
    fs::create_dir(path("my images")).unwrap();
    stage
}

/// Lines of words, and the word that completes the last of them.
const LINES: &[(&str, &str)] = &[
    ("livec", "livecopy"),
    ("livecopy par", "paris"),
    ("livecopy paris lyon@RegionT", "lyon@RegionTwo"),
    ("livecopy paris cloud:os", "cloud:oslo"),
    ("livecopy paris lyon --exc", "--exclude"),
    ("ls paris --output js", "json"),
    ("ls paris --output=js", "--output=json"),
    ("ls paris --visibility com", "community"),
    ("ls paris --cacert ca", "ca.pem"),
    ("--color nev", "never"),
    ("dump paris ima", "images/"),
    ("ls dir:ima", "dir:images/"),
    ("ls my", "my images/"),
    ("show images debian-1", "debian-12"),
    ("livecopy ./images paris --image ubu", "ubuntu-24.04"),
    ("help sele", "selection"),
    ("completion el", "elvish"),
];

/// What the tool offers for the last of these words.
fn offered(stage: &Stage, words: &str) -> Vec<String> {
    let run = stage.run(&format!("glance-replicator complete -- glance-replicator {words}"), 0);
    assert_eq!(run.stderr, "", "{words}");
    run.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn the_last_word_is_completed() {
    let stage = stage();
    for (words, expected) in LINES {
        let offered = offered(&stage, words);
        let values: Vec<&str> = offered.iter().filter_map(|line| line.split('\t').next()).collect();
        assert_eq!(values, [*expected], "{words}: {offered:?}");
    }
    let described = offered(&stage, "livecopy par");
    assert_eq!(described, ["paris\tcloud"]);
    let described = offered(&stage, "livecopy paris lyon --exc");
    assert_eq!(described, ["--exclude\tExclude images by condition; repeatable"]);
}

#[test]
fn an_empty_word_offers_values_and_a_dash_offers_options() {
    let stage = stage();
    let stores = offered(&stage, "livecopy ''");
    for store in ["paris\tcloud", "lyon\tcloud", "lyon@RegionTwo\tcloud", "images/"] {
        assert!(stores.iter().any(|line| line == store), "{stores:?}");
    }
    assert!(!stores.iter().any(|line| line.starts_with('-')), "{stores:?}");
    let options = offered(&stage, "livecopy paris lyon -");
    assert!(options.iter().any(|line| line.starts_with("--image\t")), "{options:?}");
    // Options that do not act on the command, and hidden commands, are not offered.
    assert!(!options.iter().any(|line| line.starts_with("--columns")), "{options:?}");
    let commands = offered(&stage, "''");
    assert!(commands.iter().any(|line| line.starts_with("doctor\t")), "{commands:?}");
    assert!(!commands.iter().any(|line| line.starts_with("complete\t")), "{commands:?}");
    assert!(!commands.iter().any(|line| line.starts_with("man\t")), "{commands:?}");
}

#[test]
fn a_broken_configuration_or_an_unknown_command_is_no_error() {
    let stage = stage();
    fs::write(stage.directory.path().join("clouds.yaml"), "clouds: [").unwrap();
    assert_eq!(offered(&stage, "livecopy ima"), ["images/"]);
    assert_eq!(offered(&stage, "no-such-command a b"), [""; 0]);
    replicator(&["complete"]).exits(0);
}

#[test]
fn each_shell_has_a_script() {
    for shell in ["bash", "zsh", "fish"] {
        let script = replicator(&["completion", shell]).exits(0).stdout;
        assert!(script.contains("glance-replicator complete -- "), "{script}");
        assert_eq!(replicator(&["completions", shell]).exits(0).stdout, script);
        assert_eq!(replicator(&["--shell_completion", shell]).exits(0).stdout, script);
    }
    // These scripts are not run here: they contain the commands and options.
    for shell in ["elvish", "powershell"] {
        let script = replicator(&["completion", shell]).exits(0).stdout;
        let commands = COMMANDS.iter().flat_map(|command| command.split(' '));
        for word in commands.chain(["--image", "--output"]) {
            assert!(script.contains(word), "{shell} {word}: {script}");
        }
        assert!(!script.contains(";complete'"), "{script}");
    }
    let run = replicator(&["size", "a", "--shell_completion", "bash"]).exits(2);
    assert!(run.stderr.contains("hint: `glance-replicator completion SHELL`"), "{}", run.stderr);
    replicator(&["completion", "csh"]).exits(2);
}
