//! The tool's command line: exit codes, the old tool's options, old dumps.

mod completion;
mod configuration;
mod display;
mod doctor;
mod dry_run;
mod headlines;
mod help;
mod images;
mod jobs;
mod metrics;
mod names;
mod plain_http;
mod questions;
mod serving;

use std::fs;
use std::path::Path;

use crate::support::common::{Run, cleared, piped, replicator_with, start_into, start_piped};
use crate::support::old_dump::{ID, OTHER_ID, write_old_image};

fn replicator(line: &[&str]) -> Run {
    replicator_with(line, &[])
}

#[test]
fn an_old_dump_loads_and_its_truncated_image_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (directory.path().join("old"), directory.path().join("new"));
    fs::create_dir(&old).unwrap();
    write_old_image(&old, ID, 3, b"abc");
    write_old_image(&old, OTHER_ID, 3, b"ab");
    let run = replicator(&["load", old.to_str().unwrap(), new.to_str().unwrap()]).exits(6);
    assert!(run.stdout.contains(&format!("copied: {ID}")), "{}", run.stdout);
    assert!(run.stderr.contains(&format!("{OTHER_ID}.img has 2 of 3 bytes")), "{}", run.stderr);

    let record = fs::read(new.join(format!("{ID}.json"))).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    let image = &record["image"];
    assert_eq!(image["visibility"], "private");
    assert_eq!(image["container_format"], "aki");
    assert_eq!(image["architecture"], "x86_64");
    assert_eq!(image["v1.size"], "large");
    assert!(image.get("note").is_none());
}

#[test]
fn a_flipped_byte_in_a_dump_is_found_and_a_good_run_completes_it() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (directory.path().join("old"), directory.path().join("new"));
    fs::create_dir(&old).unwrap();
    write_old_image(&old, ID, 3, b"abX");
    let line = ["load", old.to_str().unwrap(), new.to_str().unwrap()];
    let run = replicator(&line).exits(6);
    assert!(run.stderr.contains(ID) && run.stderr.contains("dir:"), "{}", run.stderr);
    assert!(run.stderr.contains("the md5"), "{}", run.stderr);
    assert!(!new.join(format!("{ID}.img")).exists());

    write_old_image(&old, ID, 3, b"abc");
    let run = replicator(&line).exits(0);
    assert!(run.stdout.contains(&format!("completed: {ID}")), "{}", run.stdout);
    let run = replicator(&line).exits(0);
    assert!(run.stdout.contains("0 copied and verified"), "{}", run.stdout);
}

#[test]
fn compare_exits_1_on_differences_and_0_on_none() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (directory.path().join("old"), directory.path().join("new"));
    fs::create_dir(&old).unwrap();
    write_old_image(&old, ID, 3, b"abc");
    let (old, new) = (old.to_str().unwrap(), new.to_str().unwrap());
    replicator(&["load", old, new]).exits(0);
    // A v1 record has no os_hash; the fields that both records have agree.
    replicator(&["compare", old, new]).exits(0);
    write_old_image(Path::new(old), OTHER_ID, 3, b"abc");
    let run = replicator(&["compare", old, new, "--output", "json"]).exits(1);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report["images"][0]["id"], OTHER_ID);
    assert_eq!(report["summary"]["different"], 1);
}

#[test]
fn size_prints_the_text_of_the_old_tool_or_json() {
    let directory = tempfile::tempdir().unwrap();
    write_old_image(directory.path(), ID, 3, b"abc");
    let path = directory.path().to_str().unwrap();
    let run = replicator(&["size", path]).exits(0);
    assert_eq!(run.stdout, "Total size is 3 bytes (3 B) across 1 images\n");
    let run = replicator(&["--output", "json", "size", path]).exits(0);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report["size"], serde_json::json!({ "bytes": 3, "images": 1, "without_data": 0 }));
}

#[test]
fn old_options_are_understood_before_and_after_the_command() {
    let directory = tempfile::tempdir().unwrap();
    write_old_image(directory.path(), ID, 3, b"abc");
    let path = directory.path().to_str().unwrap();
    replicator(&["-c", "65536", "-d", "-t", "x", "size", path]).exits(0);
    replicator(&["size", path, "--sourcetoken", "x", "-v", "-m"]).exits(0);
    // The last value applies, as in the old tool.
    let twice = ["-c", "1", "-c", "2", "-d", "-d", "-v", "-v", "-m", "-m", "-t", "x", "-t", "y"];
    let twice =
        [&["size", path][..], &twice, &["-D", "a", "-D", "b", "-M", "x", "-M", "y"]].concat();
    replicator(&twice).exits(0);
    replicator(&[&twice[2..], &twice[..2]].concat()).exits(0);
    for option in ["--config-file", "--config-dir"] {
        let run = replicator(&["size", path, option, "/etc/glance/glance-api.conf"]).exits(2);
        assert!(run.stderr.contains("reads no configuration file"), "{}", run.stderr);
    }
    for command in ["size", "dump", "load", "livecopy", "compare"] {
        let run = replicator(&["help", command]).exits(0);
        assert!(run.stdout.contains("Usage: "), "{}", run.stdout);
    }
}

#[test]
fn what_cannot_be_used_is_a_usage_error_with_a_remedy() {
    replicator(&[]).exits(2);
    replicator(&["copy"]).exits(2);
    let run = replicator(&["size", "nowhere"]).exits(2);
    assert!(run.stderr.contains("\"nowhere\" is not a cloud"), "{}", run.stderr);
    assert!(run.stderr.contains("hint: "), "{}", run.stderr);
    let line = ["size", "127.0.0.1:1", "--cacert", "/missing"];
    let run = replicator(&line).exits(2);
    assert!(run.stderr.contains("cannot read /missing"), "{}", run.stderr);
    assert!(replicator(&["size", "127.0.0.1:1", "--insecure"]).exits(2).stdout.is_empty());
}

#[test]
fn an_id_that_no_image_has_is_an_error_and_an_empty_selection_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (old, new, empty) = (path("old"), path("new"), path("empty"));
    fs::create_dir(&old).unwrap();
    write_old_image(Path::new(&old), ID, 3, b"abc");
    let report = |run: &Run| run.stderr.clone() + &run.stdout;
    for (line, both) in [
        (&["size", &old][..], false),
        (&["dump", &old, &new], false),
        (&["load", &old, &new], false),
        (&["livecopy", &old, &new], false),
        (&["verify", &old], false),
        (&["livecopy", &old, &new], false),
        (&["sync", &old, &new], true),
        (&["compare", &old, &new], true),
        (&["plan", &old, &new], true),
        (&["verify", &old, &new], true),
    ] {
        let run = replicator(&[line, &["--id", OTHER_ID, "--id", ID]].concat()).exits(2);
        let said = format!("no image has the id {OTHER_ID} in dir:{old}");
        assert!(run.stderr.contains(&said), "{line:?}: {}", run.stderr);
        assert_eq!(run.stderr.contains(&format!("nor in dir:{new}")), both, "{}", run.stderr);
        let run = replicator(&[line, &["--image", "oneirik"]].concat()).exits(2);
        let said = format!("no image is named \"oneirik\" in dir:{old}");
        assert!(run.stderr.contains(&said), "{line:?}: {}", run.stderr);
        assert!(run.stderr.contains("hint: did you mean \"oneiric\"?"), "{}", run.stderr);
        let run = replicator(&[line, &["--image", "oneirik*"]].concat()).exits(0);
        let said = format!("warning: dir:{old} has 1 image, but none is selected: ");
        assert!(run.stderr.contains(&said), "{line:?}: {}", report(&run));
        let run = replicator(&[line, &["--name", "oneiric"]].concat());
        assert!(!run.stderr.contains("warning: none"), "{line:?}: {}", report(&run));
    }
    // For `compare`, the id of an image that only the target has is not a typing error.
    let only_there = ["--id", ID];
    replicator(&["dump", &old, &empty, "--image", "nothing*"]).exits(0);
    replicator(&[&["compare", &empty, &new][..], &only_there].concat()).exits(1);
    replicator(&[&["livecopy", &empty, &new][..], &only_there].concat()).exits(2);
    let run = replicator(&["livecopy", &empty, &new]).exits(0);
    assert!(run.stderr.contains("shows no images: check the project"), "{}", run.stderr);
    // A shard may be empty.
    for shard in ["1/2", "2/2"] {
        let run = replicator(&["size", &old, "--shard", shard]).exits(0);
        assert!(!run.stderr.contains("warning: none"), "{}", run.stderr);
    }
    let [_, reader] = piped(
        &["dump", &old, "-"].map(str::to_owned),
        None,
        &["load", "-", &path("streamed"), "--id", OTHER_ID].map(str::to_owned),
    );
    let run = reader.exits(2);
    assert!(run.stderr.contains(&format!("no image has the id {OTHER_ID} in the stream")));
    assert!(run.stderr.contains("warning: the stream has 1 image, but none is selected"));
}

#[test]
fn a_dump_of_records_only_is_completed_by_a_dump_of_everything() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (old, new) = (path("old"), path("new"));
    fs::create_dir(&old).unwrap();
    write_old_image(Path::new(&old), ID, 3, b"abc");
    let run = replicator(&["dump", "-m", &old, &new]).exits(0);
    assert!(
        run.stdout.contains(&format!("copied: {ID} \"oneiric\", record copied")),
        "{}",
        run.stdout
    );
    let record = fs::read(Path::new(&new).join(format!("{ID}.json"))).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    assert_eq!(
        (&record["image"]["name"], &record["image"]["status"]),
        (&"oneiric".into(), &"queued".into())
    );
    assert!(!Path::new(&new).join(format!("{ID}.img")).exists());
    let run = replicator(&["dump", &old, &new, "--metaonly"]).exits(0);
    assert!(run.stdout.contains("0 updated, 1 in place"), "{}", run.stdout);
    let run = replicator(&["dump", &old, &new]).exits(0);
    assert!(
        run.stdout.contains(&format!("completed: {ID} \"oneiric\" (3 B), verified (md5)")),
        "{}",
        run.stdout
    );
    let run = replicator(&["dump", "-m", &old, "-"]).exits(2);
    assert!(run.stderr.contains("--metaonly cannot be used with a stream"), "{}", run.stderr);
}

#[test]
fn results_that_cannot_be_written_are_said_and_exit_8_but_a_closed_pipe_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    write_old_image(directory.path(), ID, 3, b"abc");
    let path = directory.path().to_str().unwrap();
    let new = directory.path().join("new");
    let new = new.to_str().unwrap();
    for (line, code) in [
        (&["size", path][..], 0),
        (&["size", path, "--output", "json"], 0),
        (&["load", path, new], 0),
        (&["compare", path, new], 0),
        (&["compare", path, new, "--output", "json"], 0),
        (&["compare", path, new, "--combined", "-"], 0),
        (&["plan", path, new], 0),
        (&["verify", path, new, "--output", "json"], 0),
        (&["sync", path, new, "--output", "json"], 0),
        (&["clouds"], 0),
        (&["help"], 0),
        (&["--version"], 0),
    ] {
        let full = fs::File::create("/dev/full").unwrap();
        let run = start_into(line, full).exits(8);
        let said = "error: cannot write the results to standard output\n";
        assert!(run.stderr.contains(said), "{line:?}: {}", run.stderr);
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        drop(reader);
        let run = start_into(line, writer);
        assert_eq!(run.code, Some(code), "{line:?}: {}", run.stderr);
        assert!(!run.stderr.contains("cannot write"), "{line:?}: {}", run.stderr);
    }
}

#[test]
fn fips_mode_is_required_by_option_or_variable_and_asked_of_the_library() {
    let directory = tempfile::tempdir().unwrap();
    write_old_image(directory.path(), ID, 3, b"abc");
    let path = directory.path().to_str().unwrap();
    let version = replicator(&["--version"]).exits(0).stdout;
    let in_fips_mode = version.lines().nth(1).unwrap().ends_with(", in FIPS mode");
    let requires = |line: &[&str], variable: &str| {
        let run = replicator_with(line, &[("GLANCE_REPLICATOR_REQUIRE_FIPS", variable)]);
        let run = run.exits(if in_fips_mode { 0 } else { 2 });
        assert_eq!(run.stderr.contains("FIPS mode is required"), !in_fips_mode);
        assert_eq!(run.stderr.contains("hint: "), !in_fips_mode);
    };
    requires(&["--require-fips", "size", path], "");
    requires(&["size", path, "--require-fips"], "0");
    requires(&["size", path], "1");
    requires(&["size", path], "ture");
    for no in ["", "0", "false", "no"] {
        replicator_with(&["size", path], &[("GLANCE_REPLICATOR_REQUIRE_FIPS", no)]).exits(0);
    }
}

#[test]
fn a_target_that_is_named_twice_is_refused_even_if_it_is_not_there() {
    let directory = tempfile::tempdir().unwrap();
    write_old_image(directory.path(), ID, 3, b"abc");
    let path = directory.path().to_str().unwrap();
    let line = ["livecopy", path, "127.0.0.1:1", "127.0.0.1:1", "--output", "json"];
    let run = replicator(&line).exits(2);
    let said = "error: the target 127.0.0.1:1 is named twice\n  hint: name each target once\n";
    assert!(run.stderr.contains(said), "{}", run.stderr);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report["errors"][0]["message"], "the target 127.0.0.1:1 is named twice");
}

#[test]
fn a_server_that_is_not_there_is_a_connection_error() {
    let run = replicator(&["size", "127.0.0.1:1"]).exits(4);
    assert!(run.stderr.contains("https://127.0.0.1:1"), "{}", run.stderr);
}

#[test]
fn a_proxy_that_cannot_be_used_is_named_by_its_variable() {
    let line = ["size", "https://127.0.0.1:1"];
    let run = replicator_with(&line, &[("ALL_PROXY", "socks5://bob:hush@127.0.0.1:1080")]).exits(2);
    assert!(run.stderr.contains("ALL_PROXY is a SOCKS proxy"), "{}", run.stderr);
    assert!(run.stderr.contains("hint: ") && !run.stderr.contains("hush"), "{}", run.stderr);
    let run = replicator_with(&line, &[("https_proxy", "http://bob:hush@127.0.0.1:2")]).exits(4);
    let named = "cannot connect to the proxy http://127.0.0.1:2 (https_proxy): ";
    assert!(run.stderr.contains(named), "{}", run.stderr);
    assert!(run.stderr.contains("hint: ") && !run.stderr.contains("hush"), "{}", run.stderr);
}

/// The trust store that `--debug` prints, in a run that gets as far as connecting.
fn trusted(line: &[&str], variables: &[(&str, &str)]) -> String {
    let line = [&["size", "127.0.0.1:1", "--debug"], line].concat();
    let run = replicator_with(&line, variables).exits(4);
    let said = run.stderr.lines().find_map(|line| line.split_once("trusting "));
    said.unwrap_or_else(|| panic!("{}", run.stderr)).1.to_owned()
}

#[test]
fn the_trust_store_that_is_named_first_wins() {
    let directory = tempfile::tempdir().unwrap();
    let bundle = directory.path().join("ca.pem");
    fs::write(&bundle, tests::pki::Authority::root("a CA").unwrap().pem()).unwrap();
    let (path, dir) = (bundle.to_str().unwrap(), directory.path().to_str().unwrap());
    // Each variable takes precedence over all later ones.
    let variables = [
        ("OS_CACERT", path, "OS_CACERT"),
        ("REQUESTS_CA_BUNDLE", path, "REQUESTS_CA_BUNDLE"),
        ("CURL_CA_BUNDLE", path, "CURL_CA_BUNDLE"),
        ("SSL_CERT_FILE", path, "SSL_CERT_FILE and SSL_CERT_DIR"),
        ("SSL_CERT_DIR", dir, "SSL_CERT_DIR"),
    ];
    let set: Vec<_> = variables.iter().map(|(name, value, _)| (*name, *value)).collect();
    for (index, (_, _, by)) in variables.iter().enumerate() {
        let said = trusted(&[], &set[index..]);
        assert!(said.ends_with(&format!("({by})")), "{said}");
    }
    assert_eq!(trusted(&[], &[("OS_CACERT", "")]), "the system's trust store");
    let said = trusted(&["--cacert", path], &set);
    assert_eq!(said, format!("{path} (--cacert)"));
    let said = trusted(&["--cacert", path, "--source-cacert", dir], &set);
    assert_eq!(said, format!("{dir} (--source-cacert)"));
    let said = trusted(&["--cacert", path, "--system-roots"], &[]);
    assert_eq!(said, format!("{path} (--cacert) and the system's trust store"));
}

#[test]
fn a_cloud_names_its_trust_store_between_the_options_and_the_environment() {
    let directory = tempfile::tempdir().unwrap();
    let bundle = directory.path().join("ca.pem");
    fs::write(&bundle, tests::pki::Authority::root("a CA").unwrap().pem()).unwrap();
    let path = bundle.to_str().unwrap();
    let clouds = directory.path().join("clouds.yaml");
    let auth = "auth_type: admin_token, auth: {endpoint: 'https://127.0.0.1:1', token: x}";
    fs::write(&clouds, format!("clouds: {{ c: {{ {auth}, cacert: '{path}' }} }}")).unwrap();
    let variables = [("OS_CLIENT_CONFIG_FILE", clouds.to_str().unwrap()), ("OS_CACERT", path)];
    for (option, by) in [(None, "cacert of cloud c"), (Some(path), "--cacert")] {
        let mut line = vec!["size", "c", "--debug"];
        line.extend(option.iter().flat_map(|path| ["--cacert", *path]));
        let run = replicator_with(&line, &variables).exits(4);
        assert!(run.stderr.contains(&format!("trusting {path} ({by})")), "{}", run.stderr);
    }
    fs::write(&clouds, format!("clouds: {{ c: {{ {auth}, verify: false }} }}")).unwrap();
    let run = replicator_with(&["size", "c"], &variables).exits(2);
    assert!(run.stderr.contains("no insecure mode"), "{}", run.stderr);
    assert!(run.stderr.contains("cacert: FILE"), "{}", run.stderr);
}

#[test]
fn there_is_no_insecure_mode_in_the_environment_either() {
    for value in ["1", "true", "yes", "anything"] {
        let run = replicator_with(&["size", "127.0.0.1:1"], &[("OS_INSECURE", value)]).exits(2);
        assert!(run.stderr.contains("no insecure mode"), "{}", run.stderr);
        assert!(run.stderr.contains("--cacert FILE"), "{}", run.stderr);
    }
    replicator_with(&["size", "127.0.0.1:1"], &[("OS_INSECURE", "false")]).exits(4);
}

#[test]
fn a_closed_output_does_not_stop_the_work() {
    let directory = tempfile::tempdir().unwrap();
    write_old_image(directory.path(), ID, 3, b"abc");
    let mut child = start_piped(&["size", directory.path().to_str().unwrap()]);
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}

/// Runs the tool from a shell that first runs `shell`.
fn after(shell: &str, line: &[&str]) -> std::process::Output {
    let mut command = cleared(std::process::Command::new("sh"));
    command.args(["-ec", &format!("{shell}; exec \"$@\""), "sh"]);
    if rustix::process::geteuid().is_root() {
        // Modes hold for root, too, without these capabilities.
        command.args(["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]);
    }
    command.arg(env!("CARGO_BIN_EXE_glance-replicator-under-test")).args(line).output().unwrap()
}

#[test]
fn a_dump_is_its_owners_whatever_the_umask_and_other_directories_stay_as_they_are() {
    use std::os::unix::fs::PermissionsExt;

    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    for umask in ["0", "777", "27"] {
        let directory = tempfile::tempdir().unwrap();
        let (old, others) = (directory.path().join("old"), directory.path().join("others"));
        fs::create_dir(&old).unwrap();
        fs::create_dir(&others).unwrap();
        fs::set_permissions(&others, fs::Permissions::from_mode(0o2755)).unwrap();
        write_old_image(&old, ID, 3, b"abc");
        let new = others.join("a/b");
        let line = ["dump", old.to_str().unwrap(), new.to_str().unwrap()];
        let run = after(&format!("umask {umask}"), &["dump", &format!("dir:{}", line[1]), line[2]]);
        assert!(run.status.success(), "{run:?}");
        assert_eq!((mode(&others), mode(&others.join("a"))), (0o2755, 0o700));
        assert_eq!(mode(&new), 0o700);
        let files: Vec<_> = fs::read_dir(&new).unwrap().map(|it| it.unwrap().path()).collect();
        assert_eq!(files.len(), 4);
        assert!(files.iter().all(|file| mode(file) == 0o600), "{umask}");
    }
}

#[test]
fn a_dump_may_be_compressed_and_is_loaded_as_any_other() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (old, new, again) = (path("old"), path("new"), path("again"));
    fs::create_dir(&old).unwrap();
    let data = vec![b'a'; 5 << 20];
    write_old_image(Path::new(&old), ID, 5 << 20, &data);
    // The record has no digest, so the data may be anything.
    let record = fs::read_to_string(Path::new(&old).join(ID)).unwrap();
    let record = record.replace("\"900150983cd24fb0d6963f7d28e17f72\"", "null");
    fs::write(Path::new(&old).join(ID), record).unwrap();
    let line = ["dump", &format!("dir:{old}"), &new, "--compress", "zstd"];
    replicator(&line).exits(0);
    let blob = Path::new(&new).join(format!("{ID}.img.zst"));
    assert!(fs::metadata(blob).unwrap().len() < 10_000);
    replicator(&["load", &new, &again]).exits(0);
    assert!(fs::read(Path::new(&again).join(format!("{ID}.img"))).unwrap() == data);
    replicator(&["compare", &again, &new]).exits(0);
}

fn words(line: &[&str]) -> Vec<String> {
    line.iter().map(ToString::to_string).collect()
}

#[test]
fn a_stream_makes_the_same_dump_and_reports_go_to_standard_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (old, new) = (path("old"), path("new"));
    fs::create_dir(&old).unwrap();
    write_old_image(Path::new(&old), ID, 3, b"abc");
    write_old_image(Path::new(&old), OTHER_ID, 3, b"abc");
    let from = words(&["dump", &*format!("dir:{old}"), "-"]);
    for cut in [Some(0), Some(600), Some(4096), Some(6000)] {
        let [_, reader] = piped(&from, cut, &words(&["load", "-", &format!("{new}-{cut:?}")]));
        assert_eq!(reader.code, Some(3), "{reader:?}");
        assert!(
            reader.stderr.contains("the stream: cannot read the dump: the stream was truncated"),
            "{reader:?}"
        );
    }
    // The old tool's argument order works too.
    for (name, to) in [("a", ["load", "-", &*path("a")]), ("b", ["load", &*path("b"), "-"])] {
        let to =
            to.map(
                |word| if word.starts_with('/') { format!("dir:{word}") } else { word.to_owned() },
            );
        let [writer, reader] = piped(&from, None, &to);
        let [writer, reader] = [writer.exits(0), reader.exits(0)];
        assert!(writer.stderr.contains("2 copied and verified (6 B)"), "{writer:?}");
        assert!(reader.stdout.contains("2 copied and verified (6 B)"), "{reader:?}");
        replicator(&["compare", &path(name), &format!("dir:{old}")]).exits(0);
    }
    let [_, reader] =
        piped(&words(&["size", &format!("dir:{old}")]), None, &words(&["load", "-", &new]));
    let reader = reader.exits(3);
    assert!(reader.stderr.contains("the stream was truncated"), "{reader:?}");
    let [writer, reader] = piped(&from, None, &words(&["load", "-", &new, "--match", "name"]));
    assert!(
        reader.exits(2).stderr.contains("the list of all images, which a stream does not have")
    );
    drop(writer);
    let run = replicator(&["dump", &format!("dir:{old}"), "-", "--compress", "zstd"]).exits(2);
    assert!(run.stdout.is_empty() && run.stderr.contains("| zstd"), "{run:?}");
}

/// Usable clouds, one that asks for its password, and one that cannot be used.
const CLOUDS: &str = "clouds:
  plain:
    cacert: $CA
    region_name: R1
    auth: {auth_url: 'https://ks.invalid', username: u, user_domain_name: D, project_name: p,
      project_domain_name: D}
  asking:
    auth_type: v3totp
    interface: [internal, public]
    regions: [R1, R2]
    auth: {auth_url: 'https://ks.invalid', user_id: u}
  fixed:
    auth_type: none
    image_endpoint_override: https://g.invalid/image
  lent:
    auth_type: v3applicationcredential
    auth: {auth_url: 'https://ks.invalid', application_credential_id: a,
      application_credential_secret: hush}
  broken: {verify: no, auth: {password: hush}}
";

/// A directory with `clouds.yaml`, and `secure.yaml` with the password of one cloud.
fn clouds() -> (tempfile::TempDir, String, String) {
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem");
    fs::write(&ca, tests::pki::Authority::root("ca").unwrap().pem()).unwrap();
    let (yaml, secure) = (directory.path().join("clouds.yaml"), directory.path().join("s.yaml"));
    fs::write(&yaml, CLOUDS.replace("$CA", ca.to_str().unwrap())).unwrap();
    fs::write(&secure, "clouds: {plain: {auth: {password: hush}}}").unwrap();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (yaml, secure) = (text(&yaml), text(&secure));
    (directory, yaml, secure)
}

#[test]
fn clouds_are_listed_without_secrets_and_with_what_is_wrong() {
    let (_directory, yaml, secure) = clouds();
    let variables = [("OS_CLIENT_CONFIG_FILE", &*yaml), ("OS_CLIENT_SECURE_FILE", &*secure)];
    let text = replicator_with(&["clouds"], &variables).exits(0);
    let json = replicator_with(&["clouds", "--output", "json", "--debug"], &variables).exits(0);
    for said in [&text.stdout, &text.stderr, &json.stdout, &json.stderr] {
        assert!(!said.contains("hush"), "{said}");
    }
    for line in [
        "plain\n",
        &format!("  from      {yaml}, {secure}\n"),
        "  sign-in   password at https://ks.invalid\n",
        "  Glance    public in region R1, from the service catalog\n",
        "/ca.pem (cacert of cloud plain)\n",
        "  asks for  passcode\n  Glance    internal or public in region R1, from the service catalog\n",
        "  Glance    https://g.invalid/image\n",
        "cloud `broken`: `verify: false` is set, but there is no insecure mode\n  hint ",
    ] {
        assert!(text.stdout.contains(line), "{line} is not in\n{}", text.stdout);
    }
    let report: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let usable: Vec<(&str, bool)> = report["clouds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cloud| (cloud["name"].as_str().unwrap(), cloud["usable"].as_bool().unwrap()))
        .collect();
    let expected =
        [("asking", true), ("broken", false), ("fixed", true), ("lent", true), ("plain", true)];
    assert_eq!(usable, expected);
    let one = replicator_with(&["clouds", "plain"], &variables).exits(0).stdout;
    assert!(one.starts_with("plain\n") && one.contains("  user      u\n  project   p\n"), "{one}");
    assert!(!one.contains("asking"), "{one}");
    let run = replicator_with(&["clouds", "plane"], &variables).exits(2);
    let said = "does not define `plane`; did you mean `plain`? the clouds are asking, broken, ";
    assert!(run.stderr.contains(said), "{}", run.stderr);
    let run = replicator_with(&["size", "plainn"], &variables).exits(2);
    assert!(run.stderr.contains("; did you mean `plain`? the clouds are "), "{}", run.stderr);
    let many = (0..11).map(|number| format!("  c{number}: {{}}\n")).collect::<Vec<_>>().concat();
    fs::write(&yaml, format!("clouds:\n{many}")).unwrap();
    let run =
        replicator_with(&["size", "elsewhere"], &[("OS_CLIENT_CONFIG_FILE", &*yaml)]).exits(2);
    let said = "does not define `elsewhere`; `glance-replicator clouds` lists all 11 clouds";
    assert!(run.stderr.contains(said) && !run.stderr.contains("c10"), "{}", run.stderr);
    fs::write(&yaml, "clouds: [").unwrap();
    let run = replicator_with(&["clouds"], &variables).exits(2);
    assert!(run.stderr.contains(&yaml), "{}", run.stderr);
}

#[test]
fn an_option_for_one_side_applies_there_or_is_refused() {
    let (directory, yaml, secure) = clouds();
    let variables = [("OS_CLIENT_CONFIG_FILE", &*yaml), ("OS_CLIENT_SECURE_FILE", &*secure)];
    let token = directory.path().join("token");
    fs::write(&token, "not\nfor headers").unwrap();
    let token = token.to_str().unwrap();
    for (line, exit, reason) in [
        (&["size", "asking@R3"][..], 2, "the cloud has no region `R3`"),
        (&["size", "plain", "--source-interface", "inner"], 2, "`inner` is not an interface"),
        (&["size", "fixed", "--source-endpoint-override", "x"], 2, "is not a URL"),
        (&["size", "lent", "--source-project", "q"], 2, "is bound to one project"),
        (&["size", "asking"], 2, "`auth.passcode`, which is missing"),
        (&["size", "./here", "--source-project", "q"], 2, "apply only to clouds, and"),
        (
            &["size", "plain", "--source-token-file", token],
            2,
            "cloud plain has its own credentials",
        ),
        (&["size", "https://g.invalid", "--token-file", token], 5, "invalid in a header"),
        (&["load", "./here", "lent", "--target-project", "q"], 2, "is bound to one project"),
        (&["load", "./here", "lent", "--source-project", "q"], 2, "has no effect on load"),
    ] {
        let run = replicator_with(line, &variables).exits(exit);
        assert!(run.stderr.contains(reason), "{line:?}: {}", run.stderr);
        assert!(!run.stderr.contains("hush") && !run.stderr.contains("for headers"));
    }
    // A token on the command line still works, with a warning.
    let run = replicator(&["size", "https://[::1]:9", "--sourcetoken", "hush"]).exits(4);
    assert!(run.stderr.contains("other users can see a token"), "{}", run.stderr);
    assert!(!run.stderr.contains("hush"));
}

#[test]
fn a_password_in_an_address_is_refused_and_not_said() {
    for address in ["https://admin:hush-hush@127.0.0.1:1", "url:https://hush-hush@127.0.0.1:1/v2"] {
        let run = replicator(&["size", address, "-t", "none"]).exits(2);
        run.says_none_of(["hush-hush"]);
        assert!(run.stderr.contains("hint: "), "{}", run.stderr);
    }
}

#[test]
fn a_dump_without_its_manifest_is_refused_with_the_name_of_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (directory.path().join("old"), directory.path().join("new"));
    fs::create_dir(&old).unwrap();
    write_old_image(&old, ID, 3, b"abc");
    let (old, path) = (old.to_str().unwrap(), new.to_str().unwrap());
    replicator(&["load", old, path]).exits(0);
    fs::remove_file(new.join("manifest.json")).unwrap();
    for line in [&["ls", path][..], &["load", old, path]] {
        let run = replicator(line).exits(2);
        assert!(
            run.stderr.contains("holds no dump: manifest.json is missing"),
            "{line:?}: {}",
            run.stderr
        );
    }
}
