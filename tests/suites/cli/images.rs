//! One image and a few images: they are named, shown, copied under another name or id, and given to
//! a project.

use serde_json::Value;

use crate::support::common::Run;
use crate::support::stage::Stage;

/// The number of images that a run copied.
fn copied(run: &Run) -> &str {
    let line = run.stdout.lines().find(|line| line.contains(" copied and verified"));
    line.and_then(|line| line.split_whitespace().next()).unwrap_or_else(|| panic!("{run:?}"))
}

/// The images of a store, as `ls --output json` lists them with these options.
fn list(stage: &Stage, store: &str) -> Vec<Value> {
    let run = stage.run(&format!("glance-replicator ls {store} --output json"), 0);
    let list: Value = serde_json::from_str(&run.stdout).unwrap();
    list["images"].as_array().unwrap().clone()
}

const FIRST_ID: &str = "00000000-0000-4000-8000-000000000000";

#[test]
fn an_image_is_named_by_its_name_its_id_or_a_glob() {
    let stage = Stage::new();
    let livecopy = |options: &str| {
        let run = stage.run(&format!("glance-replicator livecopy paris lyon {options}"), 0);
        copied(&run).to_owned()
    };
    assert_eq!(livecopy("--image ubuntu-24.04"), "1");
    assert_eq!(livecopy(&format!("--image {FIRST_ID} --image debian-daily")), "2");
    let number = |options: &str| {
        let run = stage.run(&format!("glance-replicator size paris {options} --output json"), 0);
        serde_json::from_str::<Value>(&run.stdout).unwrap()["size"]["images"].as_u64().unwrap()
    };
    assert_eq!(number("--image 'debian-*'"), 2);
    assert_eq!(number("--image 'debian-*' --image ubuntu-24.04"), 3);
    assert_eq!(number("--image 'debian-*' --tag test"), 1);
    assert_eq!(number("--exclude image=debian-12"), 2);
    assert_eq!(number(&format!("--exclude image={FIRST_ID}")), 2);
    // The names of earlier releases.
    assert_eq!(number(&format!("--id {FIRST_ID} --name 'ubuntu-*'")), 2);
}

#[test]
fn an_image_that_does_not_exist_is_an_error_with_similar_names() {
    let stage = Stage::new();
    stage.run("glance-replicator dump paris ./images", 0);
    for (command, place) in [
        ("ls paris", "in paris (https:"),
        ("size paris", "in paris (https:"),
        ("livecopy paris lyon", "in paris (https:"),
        ("dump paris ./other", "in paris (https:"),
        ("verify paris", "in paris (https:"),
        ("sync paris lyon", " nor in lyon"),
        ("compare paris lyon", " nor in lyon"),
        ("plan paris lyon", " nor in lyon"),
        ("verify paris lyon", " nor in lyon"),
        ("load ./images lyon", "in dir:"),
    ] {
        let line = format!("glance-replicator {command} --image debain-12 --image ubuntu-24.04");
        let run = stage.run(&line, 2);
        let said = "error: no image is named \"debain-12\" in ";
        let is_said = run.stderr.contains(said) && run.stderr.contains(place);
        assert!(is_said, "{line}: {}", run.stderr);
        assert!(run.stderr.contains("hint: did you mean \"debian-12\""), "{line}: {}", run.stderr);
        let run = stage.run(&format!("glance-replicator {command} --image 'arch*'"), 0);
        assert!(run.stderr.contains(" has 3 images, but none is selected: "), "{}", run.stderr);
    }
    let run = stage.run("glance-replicator size paris --image x9 --image y9", 2);
    let said = "error: 2 of the named images, such as \"x9\", are not in paris";
    assert!(run.stderr.contains(said), "{}", run.stderr);
    assert!(run.stderr.contains("hint: check --image and --ids-from"), "{}", run.stderr);
    // An image that only the target has is not a typing error for commands of both sides.
    stage.run("glance-replicator livecopy paris oslo --image debian-12", 0);
    stage.run("glance-replicator compare lyon oslo --image debian-12", 1);
    // Nothing can be read again from a stream.
    let line = "glance-replicator dump paris - | glance-replicator load - lyon --image debain-12";
    let run = stage.run(line, 2);
    assert!(run.stderr.contains("no image is named \"debain-12\" in the stream"), "{}", run.stderr);
}

#[test]
fn one_image_gets_another_name() {
    let stage = Stage::new();
    let line = "glance-replicator livecopy paris lyon --image debian-12 --rename gold";
    assert_eq!(copied(&stage.run(line, 0)), "1");
    let run = stage.run(line, 0);
    assert!(copied(&run) == "0" && run.stdout.contains("1 in place"), "{}", run.stdout);
    stage.run("glance-replicator compare paris lyon --image debian-12 --rename gold", 0);
    stage.run("glance-replicator compare paris lyon --image debian-12", 1);
    let images = list(&stage, "lyon");
    assert_eq!((&images[0]["name"], &images[0]["id"]), (&"gold".into(), &FIRST_ID.into()));
    // A selection is by the names of the source.
    for command in ["compare", "verify", "sync"] {
        let run = stage.run(&format!("glance-replicator {command} paris lyon --image gold"), 2);
        let said = "\"gold\" in lyon (";
        assert!(run.stderr.contains(said) && run.stderr.contains("copy of \"debian-12\" in paris"));
        assert!(run.stderr.contains(&format!("hint: name the original: --image {FIRST_ID}")));
    }
    let line = "glance-replicator livecopy paris lyon --image debian-12 --rename silver";
    let run = stage.run(line, 0);
    let said = format!("updated: {FIRST_ID} \"debian-12\" → \"silver\": name");
    assert!(run.stdout.contains(&said), "{}", run.stdout);
    stage.run("glance-replicator dump paris ./d --image debian-12 --rename silver", 0);
    assert_eq!(list(&stage, "./d")[0]["name"], "silver");

    for (options, said) in [
        ("", "--rename applies to one image, but 3 images are selected\n  hint: select one with"),
        ("--image 'arch*'", "--rename applies to one image, but none is selected"),
        ("--image debain-12", "did you mean \"debian-12\""),
        ("--image debian-12 --match name", "so --match name cannot find the copy"),
        ("--image debian-12 -D 'owner name'", "no effect if --dontreplicate contains `name`"),
    ] {
        let line = format!("glance-replicator livecopy paris oslo --rename gold {options}");
        let run = stage.run(&line, 2);
        assert!(run.stderr.contains(said), "{line}: {}", run.stderr);
    }
    assert!(list(&stage, "oslo").is_empty());
    let line = "glance-replicator dump paris - | glance-replicator load - lyon --rename gold";
    assert!(stage.run(line, 2).stderr.contains("--rename, --latest-per"));
    stage.run("glance-replicator livecopy paris oslo --image debian-12 --rename ''", 2);
}

#[test]
fn a_copy_under_a_new_id_is_made_once() {
    let stage = Stage::new();
    let line = "glance-replicator livecopy paris lyon --image debian-12 --new-id";
    assert_eq!(copied(&stage.run(line, 0)), "1");
    for again in [line, "glance-replicator sync paris lyon --image debian-12"] {
        let run = stage.run(again, 0);
        assert!(copied(&run) == "0" && run.stdout.contains("1 in place"), "{}", run.stdout);
    }
    stage.run("glance-replicator compare paris lyon --image debian-12", 0);
    let images = list(&stage, "lyon");
    assert_eq!(images.len(), 1);
    assert_ne!(images[0]["id"], FIRST_ID);
    assert_eq!(images[0]["glance_replicator.source_id"], FIRST_ID);
    // A copy that has the id of its image does not count.
    stage.run("glance-replicator livecopy paris oslo --image debian-12", 0);
    let line = "glance-replicator livecopy paris oslo --image debian-12 --new-id --rename second";
    assert_eq!(copied(&stage.run(line, 0)), "1");
    assert_eq!(copied(&stage.run(line, 0)), "0");
    let names: Vec<Value> = list(&stage, "oslo").iter().map(|it| it["name"].clone()).collect();
    assert_eq!(names, ["debian-12", "second"]);
    stage.run("glance-replicator plan paris oslo --image debian-12 --new-id --rename second", 0);
    let both = "glance-replicator livecopy paris oslo --new-id --on-burned-id skip";
    assert!(stage.run(both, 2).stderr.contains("cannot be used with"));
    // A stream cannot tell whether it has the original of a copy.
    let line =
        "glance-replicator dump paris - --image ubuntu-24.04 | glance-replicator load - lyon";
    let run = stage.run(line, 0);
    assert!(run.stdout.contains("1 copied and verified"), "{}", run.stdout);
    let run = stage.run(&format!("{line} -n"), 0);
    assert!(run.stdout.ends_with("1 image compared: 1 same\nnothing to do\n"), "{}", run.stdout);
}

#[test]
fn copies_are_given_to_one_project() {
    let stage = Stage::new();
    let id = "0123456789abcdef0123456789abcdef";
    let line = format!("glance-replicator livecopy paris lyon --image debian-12 --owner {id}");
    stage.run(&line, 0);
    assert_eq!(list(&stage, "lyon")[0]["owner"], id);
    let run = stage.run(&line, 0);
    assert!(run.stdout.contains("1 in place"), "{}", run.stdout);
    stage.run(&format!("glance-replicator compare paris lyon --image debian-12 --owner {id}"), 0);
    let run = stage.run("glance-replicator livecopy paris lyon --owner web", 2);
    let said = "--owner web: the names of the target's projects are unknown\n  hint: give the id";
    assert!(run.stderr.contains(said), "{}", run.stderr);
}

#[test]
fn ls_prints_columns_in_order() {
    let stage = Stage::new();
    let run = stage.run("glance-replicator ls paris", 0);
    insta::assert_snapshot!(run.stdout, @"
    ID                                    NAME          STATUS    SIZE
    00000000-0000-4000-8000-000000000000  debian-12     active  1000 B
    00000000-0000-4000-8000-000000000001  debian-daily  active  1000 B
    00000000-0000-4000-8000-000000000002  ubuntu-24.04  active  1000 B
    ");
    let run = stage
        .run("glance-replicator ls paris --columns name,tags,disk-format,x --sort name,desc", 0);
    insta::assert_snapshot!(run.stdout, @"
    NAME          TAGS    DISK_FORMAT  X
    ubuntu-24.04  stable  raw          -
    debian-daily  test    raw          -
    debian-12     stable  raw          -
    ");
    let said = "warning: no listed image has a field or property \"x\": the fields are id, name, ";
    assert!(run.stderr.contains(said), "{}", run.stderr);
    let run = stage.run("glance-replicator ls paris --columns statsu --sort created", 0);
    assert!(run.stderr.contains("property \"statsu\": did you mean \"status\"?"), "{}", run.stderr);
    assert!(run.stderr.contains("\"created\": did you mean \"created_at\""), "{}", run.stderr);

    let line = "glance-replicator ls paris --output json --columns id,size --image debian-12";
    let json: Value = serde_json::from_str(&stage.run(line, 0).stdout).unwrap();
    assert_eq!(json["images"], serde_json::json!([{"id": FIRST_ID, "size": 1000}]));
    assert_eq!(list(&stage, "paris")[2]["name"], "ubuntu-24.04");
    let run = stage.run("glance-replicator ls lyon", 0);
    assert!(run.stderr.contains(" shows no images: check the project"), "{}", run.stderr);
    let run = stage.run("glance-replicator ls paris --columns id,help", 0);
    let said = "columns: the properties of the images, and the fields id, name, status, ";
    assert!(run.stdout.starts_with(said) && run.stderr.is_empty(), "{}", run.stderr);
    assert!(stage.run("glance-replicator ls paris --sort name,up", 2).stderr.contains("NAME,desc"));
}

#[test]
fn show_prints_one_record() {
    let stage = Stage::new();
    let by_name = stage.run("glance-replicator show paris debian-12", 0).stdout;
    for line in [
        "name               debian-12",
        "size               1000 (1000 B)",
        "tags               stable",
    ] {
        assert!(by_name.lines().any(|it| it == line), "{by_name}");
    }
    assert_eq!(stage.run(&format!("glance-replicator show paris {FIRST_ID}"), 0).stdout, by_name);
    let json = stage.run("glance-replicator show paris debian-12 --output json", 0).stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["image"]["id"], &json["members"]), (&FIRST_ID.into(), &Value::Null));
    let run = stage.run("glance-replicator show paris 'debian-*'", 2);
    assert!(run.stderr.contains(" match name=debian-*\n"), "{}", run.stderr);
    let said = format!("hint: name one by its id: {FIRST_ID} \"debian-12\", ");
    assert!(run.stderr.contains(&said), "{}", run.stderr);
    let run = stage.run("glance-replicator show paris debian12", 2);
    assert!(run.stderr.contains("hint: did you mean \"debian-12\""), "{}", run.stderr);
    for image in ["'arch*'", "nope"] {
        let run = stage.run(&format!("glance-replicator show paris {image}"), 2);
        let said = "hint: `glance-replicator ls paris` lists the images\n";
        assert!(run.stderr.contains(said), "{image}: {}", run.stderr);
    }
}

#[test]
fn a_difference_that_an_option_makes_names_the_option() {
    let stage = Stage::new();
    stage.run("glance-replicator livecopy paris oslo --image debian-12", 0);
    let line = "glance-replicator plan paris oslo --image debian-12 --rename gold";
    let run = stage.run(line, 1);
    let said = "  name: \"gold\" (--rename), \"debian-12\" at the target\n";
    assert!(run.stdout.contains(said), "{}", run.stdout);
    let line = "glance-replicator livecopy paris oslo --image debian-12 --rename gold";
    stage.run(line, 0);
    let run = stage.run("glance-replicator plan paris oslo --image debian-12", 1);
    let said = "  name: \"debian-12\" at the source, \"gold\" at the target\n";
    assert!(run.stdout.contains(said), "{}", run.stdout);
}
