use super::*;
use crate::image::Attributes;

fn named(name: &str) -> Image {
    let attributes = Attributes { name: Some(name.to_owned()), ..Attributes::default() };
    Image::queued(ImageId::random(), attributes)
}

fn selection(wanted: &[&str], unwanted: &[&str], rules: &[&str]) -> Selection {
    let parse = |texts: &[&str]| {
        texts.iter().map(|text| text.parse::<Condition>().unwrap()).collect::<Vec<_>>()
    };
    let rules = rules.iter().map(|rule| rule.parse().unwrap());
    Selection::new(parse(wanted), parse(unwanted), rules)
}

#[test]
fn conditions_are_written_as_they_are_read() {
    for text in [
        "id=6d55dd55-053a-4765-b7bc-b30df0ea3861",
        "name=a*",
        "name-regex=^a=b$",
        "tag=a = b",
        "where=key",
        "where=key=",
        "where=key=a=b",
        "project=p",
        "visibility=community",
        "status=deactivated",
        "disk-format=raw",
        "container-format=bare",
        "min-size=1024",
        "max-size=0",
        "created-after=2026-01-31T00:00:00Z",
        "created-before=2026-01-31T00:00:00.5Z",
        "updated-after=2026-01-31T00:00:00Z",
        "updated-before=2026-01-31T00:00:00Z",
        "os-hidden=true",
        "protected=false",
    ] {
        assert_eq!(text.parse::<Condition>().unwrap().to_string(), text);
    }
    for text in ["+ name=a*", "- tag=old", "- *"] {
        assert_eq!(text.parse::<Rule>().unwrap().to_string(), text);
    }
    for (text, written) in [("name=3", "name=3"), ("/^(.*)=/", "/^(.*)=/=1"), ("a", "a=1")] {
        assert_eq!(text.parse::<Latest>().unwrap().to_string(), written);
    }
    let midnight = "created-after=2026-01-31".parse::<Condition>().unwrap();
    assert_eq!(midnight.to_string(), "created-after=2026-01-31T00:00:00Z");
}

#[test]
fn what_is_no_condition_is_refused_with_a_reason() {
    for (text, reason) in [
        ("name", "KIND=VALUE"),
        ("nmae=a", "\"nmae\" is not a kind"),
        ("id=x", "not an image id"),
        ("name=[a", "character 1"),
        ("name-regex=(", "unclosed group"),
        ("visibility=x", "public, community, shared and private"),
        ("status=x", "deactivated"),
        ("min-size=1X", "without B or b"),
        ("min-size=", "write 512k"),
        ("min-size=99999999T", "too large"),
        ("created-after=yesterday", "2026-01-31"),
        ("created-after=2026-02-30", "2026-01-31"),
        ("updated-within=7", "12h, 7d or 2w"),
        ("updated-within=-7d", "12h, 7d or 2w"),
        ("updated-within=1y", "12h, 7d or 2w"),
        ("os-hidden=yes", "neither true nor false"),
        ("where==x", "name of the property is missing"),
        ("where=owner=x", "use project"),
        ("project=", "must not be empty"),
    ] {
        let error = text.parse::<Condition>().unwrap_err().to_string();
        assert!(error.contains(reason), "{text}: {error}");
    }
    assert!(
        "name=a".parse::<Rule>().unwrap_err().to_string().contains("does not begin with + or -")
    );
    for text in ["", "a=0", "a=x", "owner", "/(/"] {
        assert!(text.parse::<Latest>().is_err(), "{text}");
    }
}

#[test]
fn conditions_of_a_kind_are_alternatives_and_kinds_add_up() {
    let mut image = named("debian-12");
    image.attributes.tags.insert("new".to_owned());
    let admits = |wanted: &[&str]| selection(wanted, &[], &[]).admits(&image);
    assert!(admits(&["name=ubuntu-*", "name-regex=-12$"]));
    assert!(admits(&["name=ubuntu-*", "name=debian-*", "tag=old", "tag=new"]));
    assert!(!admits(&["name=debian-*", "tag=old"]));
    assert!(!admits(&["name=debian-*", "where=unknown"]));
    let id = format!("id={}", image.id);
    assert!(admits(&[&id, "id=6d55dd55-053a-4765-b7bc-b30df0ea3861"]));
    assert!(!admits(&[&id, "tag=old"]));
    assert!(!selection(&[&id], &["tag=new"], &[]).admits(&image));
    assert!(!Selection::of_ids([].into()).admits(&image));
    // Old records have times without a time zone.
    image.created_at = Some("2012-06-25T02:10:32.000000".to_owned());
    assert!(selection(&["created-before=2012-06-25T02:10:33Z"], &[], &[]).admits(&image));
    assert!(!selection(&["updated-before=2100-01-01"], &[], &[]).admits(&image));
}

#[test]
fn an_image_is_named_by_its_id_or_its_name() {
    let (one, other) = (named("one"), named("other"));
    let id = format!("image={}", one.id);
    for (wanted, admits) in [
        (&[&*id][..], [true, false]),
        (&[&id, "image=other"], [true, true]),
        (&[&id, "name-regex=^oth"], [true, true]),
        (&[&id, "name=nothing"], [true, false]),
        (&["image=ot*", "image=none"], [false, true]),
        (&["image=*", "min-size=1"], [false, false]),
    ] {
        let selection = selection(wanted, &[], &[]);
        assert_eq!([&one, &other].map(|image| selection.admits(image)), admits, "{wanted:?}");
        // A field that could not be read decides nothing.
        let may = [&one, &other].map(|image| selection.may_admit(image));
        let unknown = wanted.contains(&"min-size=1");
        assert_eq!(may, admits.map(|admits| admits || unknown), "{wanted:?}");
    }
    assert!(selection(&["name=a [1]"], &[], &[]).admits(&named("a [1]")));
    assert!("image=".parse::<Condition>().is_err() && "image=a[".parse::<Condition>().is_err());
}

#[test]
fn a_selection_knows_which_images_it_names() {
    let (one, other) = (named("one"), named("other"));
    let id = format!("image={}", one.id);
    let wanted = selection(&[&id, "image=other", "image=o*"], &["image=x"], &[]);
    assert!(!wanted.names_all());
    let mut found = wanted.named();
    assert_eq!(found.ids, [one.id.clone()].into());
    assert_eq!(found.names, ["other".to_owned()].into());
    found.found(&other);
    assert!(!found.is_empty() && found.names.is_empty());
    found.found(&one);
    assert!(found.is_empty());
    assert!(selection(&[&id, "image=other", "tag=x"], &[], &[]).names_all());
    assert!(selection(&[&id], &[], &[]).names_all());
    for unnamed in [&["tag=x"][..], &["image=o*"], &["name=one", "name-regex=x"], &[]] {
        assert!(!selection(unnamed, &[], &[]).names_all(), "{unnamed:?}");
    }
    // The images of other shards are those of other processes.
    let shards =
        ["1/2", "2/2"].map(|shard| selection(&[&id], &[], &[]).in_shard(shard.parse().ok()));
    assert_eq!(shards.map(|shard| shard.named().ids.len()).iter().sum::<usize>(), 1);
}

#[test]
fn only_a_selection_without_conditions_is_everything() {
    assert!(selection(&[], &[], &[]).is_everything());
    assert!(!selection(&["name=*"], &[], &[]).is_everything());
    assert!(!selection(&[], &["name=a"], &[]).is_everything());
    assert!(!selection(&[], &[], &["+ *"]).is_everything());
    assert!(!Selection::of_ids([].into()).is_everything());
    assert!(!Selection::everything().in_shard("1/2".parse().ok()).is_everything());
    assert!(selection(&["name=a"], &["tag=b"], &["- *"]).ids_only().is_everything());
}

#[test]
fn ids_narrow_a_selection_further() {
    let (one, other) = (named("one"), named("other"));
    let both = Selection::of_ids([one.id.clone(), other.id.clone()].into());
    let narrowed = both.among([one.id.clone(), ImageId::random()].into());
    assert!(narrowed.admits(&one) && !narrowed.admits(&other));
    assert_eq!(narrowed.ids().unwrap().len(), 1);
    let named = selection(&["name=other"], &[], &[]).among([one.id.clone()].into());
    assert!(!named.admits(&one) && !named.admits(&other));
}
