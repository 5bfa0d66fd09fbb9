//! Help texts and options: each command shows and accepts the options that act on it, and the
//! examples of its help work.

mod guesses;
mod guide;

use crate::support::common::{COMMANDS, replicator_with};
use crate::support::stage::Stage;

/// The help of a command on a terminal of this width.
fn help(command: &str, flag: &str, columns: &str) -> String {
    let line: Vec<&str> =
        command.split(' ').filter(|word| !word.is_empty()).chain([flag]).collect();
    let help = replicator_with(&line, &[("COLUMNS", columns)]).exits(0).stdout;
    help.replace("glance-replicator-under-test", "glance-replicator")
}

/// The examples in the help of a command.
fn examples(command: &str) -> Vec<String> {
    let help = help(command, "--help", "100");
    let (_, examples) = help.split_once("\nExamples:\n").unwrap();
    let one_line = examples.replace("\\\n", " ");
    one_line.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// The options that a help text shows.
fn options(help: &str) -> Vec<String> {
    let option = |line: &str| {
        let spec = line.strip_prefix("  ")?.trim_start();
        let long = spec.split(", ").find(|part| part.starts_with("--"))?;
        // `...` marks an option that may be repeated.
        Some(long.split([' ', '=', '.']).next()?.to_owned())
    };
    help.lines().filter_map(option).collect()
}

#[test]
fn short_help_fits_on_a_screen_and_has_three_examples() {
    for command in COMMANDS.iter().chain(&["", "report"]) {
        for columns in ["80", "100"] {
            let help = help(command, "-h", columns);
            let lines = help.lines().count();
            assert!(lines <= 45, "{command} -h has {lines} lines at {columns} columns:\n{help}");
            let longest = help.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(longest <= columns.parse().unwrap(), "{command}, {columns}:\n{help}");
        }
    }
    for command in COMMANDS {
        let help = help(command, "-h", "80");
        assert_eq!(examples(command).len(), 3, "{help}");
        let last = help.lines().last().unwrap();
        let pointer = format!("Run `glance-replicator {command} --help` for all options");
        assert_eq!(last, pointer, "{help}");
        // The last option is `--help`.
        assert!(options(&help).len() <= 16, "{:?}", options(&help));
    }
    let livecopy = options(&help("livecopy", "-h", "80"));
    for option in ["--rename", "--owner", "--new-id"] {
        assert!(livecopy.contains(&option.to_owned()), "{livecopy:?}");
    }
    for command in ["ls", "show", "size", "dump"] {
        assert!(help(command, "-h", "80").contains(" <STORE>"), "{command}");
    }
    let exit_codes = "Exit codes: ";
    assert!(help("", "--help", "100").contains(exit_codes));
    assert!(!help("", "-h", "100").contains(exit_codes));
}

#[test]
fn help_shows_the_options_that_act() {
    for (command, shown, hidden) in [
        (
            "clouds",
            &["--cacert", "--output", "--verbose"][..],
            &["--bwlimit", "--tls", "--tag"][..],
        ),
        (
            "size",
            &["--tag", "--exclude", "--source-pin"],
            &["--metaonly", "--target-pin", "--name"],
        ),
        (
            "ls",
            &["--image", "--columns", "--sort", "--output"],
            &["--transfers", "--rename", "--id"],
        ),
        ("livecopy", &["--image", "--rename", "--new-id", "--owner"], &["--columns", "--nodebug"]),
        ("load", &["--target-pin", "--via"], &["--source-pin", "--sourcetoken"]),
        ("dump", &["--compress", "--source-pin"], &["--target-pin", "--via", "--on-burned-id"]),
        ("sync", &["--delete", "--bwlimit", "--on-burned-id"], &["--chunksize", "--compress"]),
        ("serve", &["--listen", "--cert", "--tls", "--output"], &["--cacert", "--tag"]),
        ("report merge", &["--output", "--report"], &["--transfers", "--cacert"]),
    ] {
        let help = help(command, "--help", "100");
        let options = options(&help);
        for option in shown {
            assert!(options.iter().any(|it| it == option), "{command} {option}:\n{help}");
        }
        for option in hidden {
            assert!(options.iter().all(|it| it != option), "{command} {option}:\n{help}");
        }
    }
}

#[test]
fn an_option_without_effect_is_refused_before_and_after_the_command() {
    let refused = |line: &[&str], reason: &str| {
        let run = replicator_with(line, &[]).exits(2);
        assert!(run.stderr.contains(reason) && run.stdout.is_empty(), "{line:?}: {}", run.stderr);
    };
    for (command, option, reason) in [
        (
            &["clouds"][..],
            &["--bwlimit", "1M"][..],
            "error: --bwlimit has no effect on clouds; \
             use it with dump, load, livecopy, sync, repair, verify\n",
        ),
        (&["size", "."], &["--transfers", "2"], "--transfers has no effect on size; use it with"),
        (
            &["dump", ".", "new"],
            &["--via", "auto"],
            "use it with load, livecopy, sync, plan, repair",
        ),
        (&["sync", ".", "new"], &["--chunksize", "1"], "has no effect on sync; leave it out"),
        (&["doctor", "."], &["-m"], "--metaonly has no effect on doctor; use it with"),
        (
            &["ls", "."],
            &["--target-cacert", "x"],
            "--target-cacert has no effect on ls; use --cacert",
        ),
        (&["report", "merge", "x"], &["--tls", "rustls"], "--tls has no effect on report merge;"),
        (
            &["resume"],
            &["--cacert", "x"],
            "--cacert has no effect on resume; run the interrupted command again with it",
        ),
    ] {
        refused(&[command, option].concat(), reason);
        refused(&[option, command].concat(), reason);
    }
    let reason = "error: --delete is an option of plan, sync; write it after such a command\n";
    refused(&["livecopy", "a", "b", "--delete", "hide"], reason);
    refused(&["--delete", "hide", "sync", "a", "b"], reason);
    // The environment is no reason for a refusal.
    let variables = [("GLANCE_REPLICATOR_REQUIRE_FIPS", "0")];
    replicator_with(&["clouds"], &variables).exits(0);
}

impl Stage {
    /// Runs the examples of a command.
    fn run_examples(&self, command: &str, code: i32) {
        for line in examples(command) {
            self.run(&line, code);
        }
    }
}

#[test]
fn the_examples_of_ls_work() {
    let stage = Stage::new();
    stage.run_examples("ls", 0);
}

#[test]
fn the_examples_of_livecopy_work() {
    let stage = Stage::new();
    stage.run_examples("livecopy", 0);
    stage.run("glance-replicator compare paris lyon --name 'debian-*'", 0);
    stage.run("glance-replicator compare paris oslo --exclude tag=test", 0);
}

#[test]
fn the_examples_of_sync_work() {
    let stage = Stage::new();
    stage.run_examples("sync", 0);
    stage.run("glance-replicator compare paris lyon", 0);
    stage.run("glance-replicator compare paris oslo --exclude 'name=*-daily'", 0);
}

#[test]
fn the_examples_of_dump_work() {
    let stage = Stage::new();
    stage.run_examples("dump", 0);
    stage.run("glance-replicator compare paris ./images", 0);
    stage.run("glance-replicator load - lyon < images.tar", 0);
    stage.run("glance-replicator compare paris lyon --tag stable", 0);
}

#[test]
fn the_examples_of_compare_exit_1_on_differences_and_0_on_none() {
    let stage = Stage::new();
    stage.run("glance-replicator dump paris ./images --name debian-12", 0);
    stage.run_examples("compare", 1);
    stage.run("glance-replicator dump paris ./images", 0);
    stage.run("glance-replicator sync paris lyon", 0);
    stage.run_examples("compare", 0);
    let first = &examples("compare")[0];
    assert!(first.ends_with("# exits 1 if an image differs"), "{first}");
}
