//! The first screen, and `help`: topics of the guide, and commands.

use std::fs;

use crate::suites::cli::replicator;
use crate::support::common::{Run, replicator_with};

/// Runs the tool with these clouds.
fn with_clouds(line: &[&str], clouds: &str) -> Run {
    let directory = tempfile::tempdir().unwrap();
    let yaml = directory.path().join("clouds.yaml");
    fs::write(&yaml, clouds).unwrap();
    replicator_with(line, &[("OS_CLIENT_CONFIG_FILE", yaml.to_str().unwrap()), ("COLUMNS", "80")])
}

#[test]
fn the_first_screen_fits_and_names_the_clouds_or_how_to_configure_them() {
    let many: Vec<String> = (0..20).map(|number| format!("  c{number:02}: {{}}")).collect();
    let many = format!("clouds:\n{}\n", many.join("\n"));
    for (clouds, said) in [
        ("clouds: {paris: {}, lyon: {}}", "Clouds: lyon, paris\n"),
        (&*many, "c07, and 12 more (glance-replicator clouds)\n"),
        ("clouds: {}", "auth: {auth_url: https://keystone.example.org/v3"),
        ("clouds: [", "Clouds: cannot use the configuration: "),
    ] {
        let run = with_clouds(&[], clouds).exits(2);
        assert_eq!(run.stdout, "");
        assert!(run.stderr.contains(said), "{}", run.stderr);
        assert!(run.stderr.lines().count() <= 30, "{}", run.stderr);
        let own = run.stderr.lines().filter(|line| !line.starts_with("Clouds: "));
        let widest = own.map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= 80 || clouds == "clouds: [", "{widest}: {}", run.stderr);
        for command in ["doctor", "livecopy", "compare", "sync", "dump"] {
            let example = format!("      glance-replicator {command} a ");
            assert!(run.stderr.contains(&example), "{}", run.stderr);
        }
    }
}

#[test]
fn help_prints_the_pages_of_the_guide_and_the_options_of_commands() {
    let help = |topic: &[&str]| with_clouds(&[&["help"], topic].concat(), "").exits(0).stdout;
    let topics = help(&[]);
    for topic in ["tls", "selection", "exit-codes", "recovery"] {
        assert!(topics.contains(&format!("\n  {topic} ")), "{topics}");
        let page = help(&[topic]);
        assert!(page.lines().nth(1).unwrap().starts_with("==="), "{page}");
    }
    assert!(topics.contains(" livecopy "), "{topics}");
    assert!(help(&["tls"]).contains("\nTrust store\n-----------\n"));
    assert!(help(&["exit-codes"]).contains("--max-duration"));
    // A page has precedence over the command of the same name, and names the command's help.
    let sync = help(&["sync"]);
    assert!(sync.starts_with("Sync: keep replicas up to date\n"), "{sync}");
    assert!(sync.ends_with("\nAll options of the command: glance-replicator sync --help\n"));
    for command in [&["livecopy"][..], &["report", "merge"], &["help"]] {
        let expected = with_clouds(&[command, &["--help"]].concat(), "").exits(0).stdout;
        let expected = expected.replace("glance-replicator-under-test", "glance-replicator");
        assert_eq!(help(command), expected);
    }
    let run = with_clouds(&["help", "tsl"], "").exits(2);
    let said = "there is no topic \"tsl\"\n  hint: did you mean `tls`? ";
    assert!(run.stderr.contains(said), "{}", run.stderr);
}

#[test]
fn the_manual_pages_are_written_to_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new/man");
    let run = replicator(&["man", path.to_str().unwrap()]).exits(0);
    assert_eq!((run.stdout, run.stderr), (String::new(), String::new()));
    for (page, text) in [
        ("man1/glance-replicator.1", "glance\\-replicator\\-livecopy(1)"),
        ("man1/glance-replicator-report-merge.1", ".SH EXAMPLES"),
        ("man5/glance-replicator-clouds.5", "application_credential_id"),
        ("man7/glance-replicator-tls.7", ".SH \"Trust store\""),
    ] {
        let source = fs::read_to_string(path.join(page)).unwrap();
        assert!(source.contains(text), "{page}: {source}");
    }
    let file = path.join("man1/glance-replicator.1/x");
    let run = replicator(&["man", file.to_str().unwrap()]).exits(2);
    assert!(run.stderr.contains("error: cannot write the manual pages to "), "{}", run.stderr);
    assert!(run.stderr.contains("hint: name a directory that you can write"), "{}", run.stderr);
}

#[test]
fn commands_for_packages_and_scripts_are_not_listed() {
    for line in [&["-h"][..], &["--help"]] {
        let help = replicator_with(line, &[("COLUMNS", "100")]).exits(0).stdout;
        let lists = |command: &str| help.contains(&format!("\n  {command} "));
        assert!(lists("livecopy") && !lists("man") && !lists("complete"), "{help}");
    }
    let topics = replicator(&["help"]).exits(0).stdout;
    let (_, commands) = topics.split_once("COMMAND --help").unwrap();
    let commands: Vec<&str> = commands.split_whitespace().collect();
    let lists = |command| commands.contains(&command);
    assert!(lists("livecopy") && !lists("man") && !lists("complete"), "{topics}");
}
