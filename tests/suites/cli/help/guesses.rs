//! Guesses and old command lines: each is understood, or the error says how this tool does it.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::Value;

use crate::suites::cli::replicator;
use crate::support::old_dump::{ID, write_old_image};
use crate::support::stage::Stage;

#[test]
fn a_guess_is_answered_with_what_to_write() {
    let stage = Stage::new();
    for (line, said) in [
        (
            "livecopy paris lyon seed-ova",
            "hint: to copy one image: glance-replicator livecopy paris lyon --image seed-ova; ",
        ),
        ("livecopy paris lyon 'debian-*'", "livecopy paris lyon --image 'debian-*'; "),
        ("sync paris lyon oslo debian-12", "sync paris lyon oslo --image debian-12; "),
        ("load ./images lyon debian-12", "load ./images lyon --image debian-12; "),
        ("livecopy paris seed-ova", "write a directory as ./seed-ova"),
        ("compare paris lyon seed-ova", "hint: to select one image, write --image seed-ova"),
        ("compare paris lyon oslo", "compare takes one source and one target\n"),
        ("ls paris seed-ova", "write --image seed-ova"),
        ("livecopy paris lyon --insecure", "hint: every server is verified; name the certificate"),
        ("size paris -k", "there is no option -k"),
        ("man", "`glance-replicator COMMAND --help` shows all options"),
        ("version", "hint: `glance-replicator --version` prints the version"),
        ("list paris", "`glance-replicator ls STORE`"),
        ("copy paris lyon", "`glance-replicator livecopy SOURCE TARGET`"),
    ] {
        let run = stage.run(&format!("glance-replicator {line}"), 2);
        assert!(run.stderr.starts_with("error: "), "{line}: {}", run.stderr);
        assert!(run.stderr.contains(said), "{line}: {}", run.stderr);
        assert!(run.stdout.is_empty(), "{line}: {}", run.stdout);
    }
    // A token is not shown.
    let run = stage.run("glance-replicator livecopy paris lyon me:hush@host", 2);
    assert!(!run.stderr.contains("hush"), "{}", run.stderr);
}

#[test]
fn help_has_help() {
    for option in ["--help", "-h"] {
        let help = replicator(&["help", option]).exits(0).stdout;
        assert!(help.starts_with("Print a page of the guide"), "{help}");
    }
}

/// The options of the old tool, from its source and from those of oslo.config and oslo.log: whether
/// an option is understood, or the answer.
const OLD_OPTIONS: &[(&[&str], Option<&str>)] = &[
    (&["--chunksize", "65536"], None),
    (&["-c", "65536"], None),
    (&["--dontreplicate", "created_at date"], None),
    (&["-D", "created_at date"], None),
    (&["--metaonly"], None),
    (&["-m"], None),
    (&["--nometaonly"], None),
    (&["--token", "x"], None),
    (&["-t", "x"], None),
    (&["--mastertoken", "x"], None),
    (&["-M", "x"], None),
    (&["--sourcetoken", "x"], None),
    (&["--slavetoken", "x"], None),
    (&["-S", "x"], None),
    (&["--targettoken", "x"], None),
    (&["--debug"], None),
    (&["-d"], None),
    (&["--nodebug"], None),
    (&["--verbose"], None),
    (&["-v"], None),
    (&["--log-file", "LOG"], None),
    (&["--log_file", "LOG"], None),
    (&["--logfile", "LOG"], None),
    (&["--nouse-syslog"], None),
    (&["--nouse_syslog"], None),
    (&["--nouse-journal"], None),
    (&["--nouse-json"], None),
    (&["--config-file", "x"], Some("reads no configuration file")),
    (&["--config_file", "x"], Some("reads no configuration file")),
    (&["--config-dir", "x"], Some("reads no configuration file")),
    (&["--log-dir", "/var/log"], Some("--logfile FILE")),
    (&["--logdir", "/var/log"], Some("--logfile FILE")),
    (&["--log-config-append", "x"], Some("the log needs no configuration file")),
    (&["--log-config", "x"], Some("the log needs no configuration file")),
    (&["--log-date-format", "x"], Some("RFC 3339")),
    (&["--syslog-log-facility", "x"], Some("facility `user`")),
    (&["--use-journal"], Some("journald")),
    (&["--use-json"], Some("--output json")),
];

#[test]
fn every_option_of_the_old_tool_is_understood_or_answered() {
    let directory = tempfile::tempdir().unwrap();
    write_old_image(directory.path(), ID, 3, b"abc");
    let path = directory.path().to_str().unwrap();
    let log = directory.path().join("log");
    for (option, answer) in OLD_OPTIONS {
        let option: Vec<&str> = option
            .iter()
            .map(|word| if *word == "LOG" { log.to_str().unwrap() } else { word })
            .collect();
        for line in
            [[&option[..], &["size", path]].concat(), [&["size", path], &option[..]].concat()]
        {
            let run = replicator(&line);
            match answer {
                None => {
                    assert!(run.exits(0).stdout.starts_with("Total size is 3 bytes"), "{line:?}");
                }
                Some(answer) => {
                    let run = run.exits(2);
                    assert!(run.stderr.contains(answer), "{line:?}: {}", run.stderr);
                }
            }
        }
    }
    assert!(log.exists());
}

#[test]
fn of_two_opposite_options_the_last_one_applies() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir(path("old")).unwrap();
    write_old_image(path("old").as_ref(), ID, 3, b"abc");
    let data = |name: &str| directory.path().join(name).join(format!("{ID}.img")).exists();
    replicator(&["dump", &path("old"), &path("all"), "-m", "--nometaonly"]).exits(0);
    replicator(&["dump", &path("old"), &path("records"), "--nometaonly", "-m"]).exits(0);
    assert!(data("all") && !data("records"));
    let said =
        |line: &[&str]| replicator(&[&["size", &path("old")], line].concat()).exits(0).stderr;
    assert!(said(&["-d", "--nodebug"]).is_empty());
    // The options of this tool's own commands are its own.
    let run = replicator(&["sync", &path("old"), &path("new"), "--nodebug"]).exits(2);
    assert!(run.stderr.contains("--nodebug has no effect on sync"), "{}", run.stderr);
}

#[test]
fn a_store_is_not_copied_to_itself() {
    let stage = Stage::new();
    let path = |name: &str| stage.directory.path().join(name);
    stage.run("glance-replicator dump paris ./images", 0);
    symlink(path("images"), path("link")).unwrap();
    // The same Glance under another name.
    let file = path("clouds.yaml");
    let mut clouds: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    clouds["clouds"]["lutetia"] = clouds["clouds"]["paris"].clone();
    fs::write(&file, clouds.to_string()).unwrap();
    for line in [
        "livecopy paris paris",
        "livecopy paris lyon paris",
        "livecopy paris lutetia",
        "sync paris lutetia --delete hide",
        "compare paris lutetia",
        "plan lutetia paris",
        "verify paris lutetia",
        "repair paris lutetia",
        "metadefs paris lutetia",
        "dump ./images ./images",
        "dump ./images dir:link",
        "load ./images ./link",
        "livecopy ./images images/../images/",
    ] {
        let run = stage.run(&format!("glance-replicator {line}"), 2);
        let said = "the source and the target are the same store, ";
        assert!(run.stderr.contains(said), "{line}: {}", run.stderr);
        assert!(run.stderr.contains("hint: name another store"), "{line}: {}", run.stderr);
    }
    stage.run("glance-replicator verify ./images", 0);
}

#[test]
fn the_bare_name_of_a_directory_is_the_directory_on_every_command() {
    let stage = Stage::new();
    for (line, code) in [
        ("dump paris images", 0),
        ("size images", 0),
        ("ls images", 0),
        ("show images debian-12", 0),
        ("verify images", 0),
        ("doctor images", 0),
        ("compare paris images", 0),
        ("compare images paris", 0),
        ("plan images paris", 0),
        ("livecopy paris images", 0),
        ("sync paris images", 0),
        ("repair paris images", 0),
        ("metadefs paris images -n", 0),
        ("load images lyon", 0),
        ("livecopy images oslo", 0),
    ] {
        stage.run(&format!("glance-replicator {line}"), code);
    }
    // A name of a cloud is a cloud on every command, even if there is a directory of this name.
    fs::create_dir(stage.directory.path().join("oslo")).unwrap();
    for line in ["dump paris lyon", "dump paris oslo", "load oslo lyon"] {
        let run = stage.run(&format!("glance-replicator {line}"), 2);
        assert!(
            run.stderr.contains("is the name of a cloud, but a directory is"),
            "{}",
            run.stderr
        );
        assert!(run.stderr.contains("hint: write the directory as ./"), "{}", run.stderr);
    }
    assert!(!stage.directory.path().join("lyon").exists());
    stage.run("glance-replicator dump paris ./oslo", 0);
    stage.run("glance-replicator dump paris dir:oslo", 0);
}
