//! Misplaced values in configurations, as operators, templates and CI systems produce them.

use std::fs;
use std::path::Path;

use crate::support::common::{Run, cleared, replicator_with};

const AUTH: &str = "auth: {auth_url: 'https://127.0.0.1:1/v3', username: u, password: p, \
    project_name: p, user_domain_name: D, project_domain_name: D}";

/// The data of a key or certificate, without the lines around it.
const CODED: &str = "MIIhushhushhushhushhushhushhushhushhush";
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nhush-hush-hush\n-----END PRIVATE KEY-----\n";

/// Runs the tool in the directory `work`, with this home directory.
fn run_in(work: &Path, home: &Path, line: &[&str]) -> Run {
    let tool = env!("CARGO_BIN_EXE_glance-replicator-under-test");
    let mut command = cleared(std::process::Command::new(tool));
    command.env_remove("XDG_CONFIG_HOME").env("HOME", home).current_dir(work).args(line);
    Run::of(command.output().unwrap())
}

#[test]
fn a_secret_in_place_of_its_file_in_clouds_yaml_is_not_shown() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (cert, clouds) = (path("cert.pem"), path("clouds.yaml"));
    fs::write(&cert, tests::pki::Authority::root("ca").unwrap().pem()).unwrap();
    let block = |key: &str, text: &str| {
        let cert = if key == "key" { format!("cert: {cert}") } else { String::new() };
        let text = text.replace('\n', "\n      ");
        let file = format!("clouds:\n  a:\n    {AUTH}\n    {cert}\n    {key}: |\n      {text}");
        fs::write(&clouds, file).unwrap();
    };
    let file = [("OS_CLIENT_CONFIG_FILE", &*clouds)];
    let certificate = KEY.replace("PRIVATE KEY", "CERTIFICATE");
    for (key, text, held) in [
        ("key", KEY, "the key itself"),
        ("cert", &certificate, "the certificate itself"),
        ("cacert", &certificate, "the certificate itself"),
        ("cacert", "one\nhush-hush-hush", "several lines"),
    ] {
        block(key, text);
        let said = format!("`{key}` contains {held} instead of the path of a file");
        for (line, exit) in [(&["size", "a"][..], 2), (&["doctor", "a"], 2), (&["clouds"], 0)] {
            let run = replicator_with(line, &file).exits(exit);
            run.says_none_of(["hush-hush", "-----BEGIN"]);
            let all = format!("{}{}", run.stdout, run.stderr);
            assert!(all.contains(&said), "{all}");
        }
    }
}

#[test]
fn a_secret_in_place_of_its_file_on_the_command_line_is_not_shown() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let cert = path("cert.pem");
    fs::write(&cert, tests::pki::Authority::root("ca").unwrap().pem()).unwrap();
    let certificate = KEY.replace("PRIVATE KEY", "CERTIFICATE");
    let server = "https://127.0.0.1:1";
    let inline = format!("--key={KEY}");
    for (line, variables, named) in [
        (&["--cert", &cert, &*inline][..], &[][..], "--key contains the key itself"),
        (&["--cert", &cert, "--key", KEY], &[], "unexpected argument"),
        (&["--cacert", CODED], &[], "--cacert is not the path of an existing file"),
        (
            &["--key-passphrase-file", "hush-hush-hush", "--cert", &cert],
            &[],
            "passphrase-file is not the path",
        ),
        (&["--crl", "gAAAAAhush-hush"], &[], "--crl is not the path of an existing file"),
        (
            &["--token-file", "gAAAAAhush-hush"],
            &[],
            "--token-file is not the path of an existing file",
        ),
        (
            &["--source-token-file", "gAAAAAhush-hush"],
            &[],
            "--source-token-file is not the path of an existing file",
        ),
        (&["gAAAAAhush-hush"], &[], "unexpected argument"),
        (&["https://me:hush-hush@x"], &[], "unexpected argument"),
        (&["--output", "https://me:hush-hush@x"], &[], "invalid value"),
        (&[], &[("OS_CERT", &*cert), ("OS_KEY", KEY)], "OS_KEY contains the key itself"),
        (&[], &[("OS_CERT", &certificate)], "OS_CERT contains the certificate itself"),
        (&[], &[("OS_CACERT", &certificate)], "OS_CACERT contains the certificate itself"),
        (&[], &[("SSL_CERT_FILE", CODED)], "SSL_CERT_FILE is not the path of an existing file"),
    ] {
        let run = replicator_with(&[&["size", server], line].concat(), variables).exits(2);
        run.says_none_of(["hush-hush", "hushhush", "-----BEGIN"]);
        assert!(run.stderr.contains(named), "{line:?}: {}", run.stderr);
    }
    let run = replicator_with(&["size", "me:hush-hush@host"], &[]).exits(2);
    run.says_none_of(["hush-hush"]);
    let serve = ["serve", &path("dump"), "--cert", &cert, &format!("--key={CODED}")];
    replicator_with(&serve, &[]).exits(2).says_none_of(["hushhush"]);
    let missing = replicator_with(&["size", server, "--cacert", "ca.pem"], &[]).exits(2);
    assert!(missing.stderr.contains("cannot read ca.pem\n"), "{}", missing.stderr);
}

#[test]
fn a_tag_of_another_program_is_refused_with_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let clouds = directory.path().join("clouds.yaml");
    let text = format!("clouds:\n  a:\n    {AUTH}\n    cacert: !vault |\n      hush-hush");
    fs::write(&clouds, text).unwrap();
    let file = [("OS_CLIENT_CONFIG_FILE", clouds.to_str().unwrap())];
    for line in [&["size", "a"][..], &["clouds"], &["doctor", "a"]] {
        let run = replicator_with(line, &file).exits(2);
        run.says_none_of(["hush-hush"]);
        let all = format!("{}{}", run.stdout, run.stderr);
        assert!(all.contains("clouds.yaml: line 4: the tag !vault is not supported"), "{all}");
    }
}

#[test]
fn a_file_without_clouds_is_said_once_with_what_it_hides() {
    let directory = tempfile::tempdir().unwrap();
    let (work, home) = (directory.path().join("work"), directory.path().join("home"));
    let hidden = home.join(".config/openstack/clouds.yaml");
    fs::create_dir_all(hidden.parent().unwrap()).unwrap();
    fs::create_dir_all(&work).unwrap();
    fs::write(work.join("clouds.yaml"), "cache:\n  expiration_time: 3600\n").unwrap();
    fs::write(&hidden, format!("clouds: {{a: {{{AUTH}}}}}")).unwrap();
    let hides = format!(
        "./clouds.yaml defines no cloud; the file takes precedence over {}, which defines `a`",
        hidden.display()
    );
    let run = run_in(&work, &home, &["size", "cloud:a"]).exits(2);
    assert_eq!(run.stderr, format!("error: there is no cloud \"a\"\n  hint: {hides}\n"));
    // The word may be a directory's name too.
    let run = run_in(&work, &home, &["size", "a"]).exits(2);
    let hint = format!("hint: {hides}; write a directory as ./a or dir:a\n");
    assert!(run.stderr.contains(&hint), "{}", run.stderr);
    let run = run_in(&work, &home, &["clouds"]).exits(0);
    assert_eq!(run.stdout, "no cloud is configured: ./clouds.yaml defines no cloud\n");
    // The other file does not define this cloud either.
    let run = run_in(&work, &home, &["size", "cloud:b@R"]).exits(2);
    assert!(run.stderr.ends_with("hint: ./clouds.yaml defines no cloud\n"), "{}", run.stderr);
}

#[test]
fn a_variable_that_is_no_text_is_refused_and_not_passed_over() {
    use std::os::unix::ffi::OsStrExt;

    let odd = std::ffi::OsStr::from_bytes(b"/ca-\xff.pem");
    let tool = env!("CARGO_BIN_EXE_glance-replicator-under-test");
    for name in ["OS_CACERT", "OS_INSECURE", "SSL_CERT_FILE", "OS_PASSWORD", "https_proxy"] {
        let mut command = cleared(std::process::Command::new(tool));
        let output = command.args(["size", "https://127.0.0.1:1"]).env(name, odd).output().unwrap();
        let run = Run::of(output).exits(2);
        assert!(run.stderr.contains(&format!("{name} is not UTF-8")), "{}", run.stderr);
    }
}
