use std::sync::Arc;

use super::*;
use glance_core::image::{MemberStatus, Owner, Visibility};
use glance_core::project::Project;
use keystone_auth::Projects;

const ID: &str = "00000000-0000-4000-8000-000000000001";
const OTHER: &str = "00000000-0000-4000-8000-000000000002";

fn image(properties: &[(&str, &str)]) -> Image {
    let attributes = Attributes {
        name: Some("web".into()),
        owner: Owner::Project("p1".into()),
        visibility: Visibility::Shared,
        protected: true,
        os_hidden: true,
        min_disk: 1,
        min_ram: 2,
        tags: ["t".to_owned()].into(),
        disk_format: Some("raw".into()),
        container_format: Some("bare".into()),
        properties: pairs(properties),
    };
    Image { size: Some(3), ..Image::queued(ID.parse().unwrap(), attributes) }
}

fn pairs(properties: &[(&str, &str)]) -> BTreeMap<String, String> {
    properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn without(names: &str) -> Mapping {
    let without = names.split_whitespace().map(str::to_owned).collect();
    Mapping { without, ..Mapping::default() }
}

fn at_a_glance() -> Mapping {
    Mapping { site_local: SiteLocal::Drop, ..Mapping::default() }
}

async fn wanted(mapping: &Mapping, image: &Image) -> Wanted {
    mapping.wanted(image).await.unwrap()
}

fn project(id: &str, domain: &str, name: &str) -> Project {
    Project { id: id.into(), name: name.into(), domain: domain.into() }
}

fn projects(list: &[(&str, &str, &str)]) -> Arc<Projects> {
    let list = list.iter().map(|(id, domain, name)| project(id, domain, name));
    Arc::new(Projects::known(list.collect()))
}

#[tokio::test]
async fn by_default_all_properties_but_reserved_ones_are_kept() {
    let image = image(&[
        ("os_distro", "d"),
        ("owner_specified.x", "o"),
        ("instance_uuid", "i"),
        ("kernel_id", OTHER),
        ("img_signature", "s"),
        ("os_glance_failed_import", ""),
    ]);
    let wanted = wanted(&Mapping::default(), &image).await;
    let mut same = image.attributes.clone();
    same.properties.remove("os_glance_failed_import");
    assert_eq!((wanted.attributes, wanted.notes.len()), (same, 0));
}

/// What `-D` did before mappings existed.
#[tokio::test]
async fn omitted_fields_are_neither_copied_nor_compared_nor_changed() {
    let names = "name owner visibility protected os_hidden min_disk min_ram tags disk_format x";
    let mapping = without(names);
    let source = image(&[("x", "1"), ("y", "2")]);
    let wanted = wanted(&mapping, &source).await;
    let expected = Attributes {
        properties: pairs(&[("y", "2")]),
        // Data can't be stored without formats.
        disk_format: Some("raw".into()),
        container_format: Some("bare".into()),
        ..Attributes::default()
    };
    assert_eq!(wanted.attributes, expected);
    let replica = Attributes {
        name: Some("other".into()),
        owner: Owner::Project("p2".into()),
        visibility: Visibility::Public,
        tags: ["u".to_owned()].into(),
        disk_format: Some("iso".into()),
        container_format: Some("bare".into()),
        min_disk: 7,
        properties: pairs(&[("x", "theirs"), ("y", "2"), ("os_glance_x", "")]),
        ..Attributes::default()
    };
    assert_eq!(mapping.onto(&wanted, &replica), replica);
    let changed = Attributes { properties: pairs(&[("y", "3"), ("z", "")]), ..replica.clone() };
    let onto = mapping.onto(&wanted, &changed);
    assert_eq!(onto, Attributes { properties: pairs(&[("y", "2")]), ..replica });
}

#[tokio::test]
async fn site_local_properties_of_the_target_stay() {
    let source = image(&[
        ("instance_uuid", "i"),
        ("block_device_mapping", "[]"),
        ("img_signature", "s"),
        ("os_type", "linux"),
    ]);
    let rules =
        |rules: &[&str]| rules.iter().map(|rule| rule.parse::<PropertyRule>().unwrap()).collect();
    let mapping = Mapping { properties: rules(&["drop=img_signature*"]), ..at_a_glance() };
    let wanted = wanted(&mapping, &source).await;
    assert_eq!(wanted.attributes.properties, pairs(&[("os_type", "linux")]));
    let replica = Attributes {
        properties: pairs(&[
            ("instance_uuid", "theirs"),
            ("img_signature", "theirs"),
            ("os_type", "linux"),
        ]),
        ..source.attributes.clone()
    };
    assert_eq!(mapping.onto(&wanted, &replica), replica);
    let kept =
        Mapping { properties: rules(&["drop=img_signature*", "keep=instance_uuid"]), ..mapping };
    let wanted = kept.wanted(&source).await.unwrap();
    assert_eq!(kept.onto(&wanted, &replica).properties["instance_uuid"], "i");
}

#[tokio::test]
async fn encrypted_images_are_skipped_or_lose_the_policy() {
    let key = [(property_class::KEY, "k"), (property_class::KEY_DELETION, "on_image_deletion")];
    let encrypted = image(&key);
    let skipped = Mapping::default().wanted(&encrypted).await.unwrap_err();
    let NotWanted::Skipped(reason) = skipped else { panic!("{skipped:?}") };
    assert_eq!(reason, "the data is encrypted with a key of the source's key manager");
    let mapping = Mapping { encrypted: Encrypted::CopyWithoutPolicy, ..Mapping::default() };
    let wanted = wanted(&mapping, &encrypted).await;
    assert_eq!(wanted.attributes.properties, pairs(&key[..1]));
    // A policy from an earlier copy is removed: deleting that copy would delete the key.
    let replica = encrypted.attributes;
    assert_eq!(mapping.onto(&wanted, &replica).properties, pairs(&key[..1]));
    let keep = ["keep=cinder*".parse::<PropertyRule>().unwrap()].into_iter().collect();
    let insistent = Mapping { properties: keep, ..mapping };
    let wanted = insistent.wanted(&image(&key)).await.unwrap();
    assert_eq!(wanted.attributes.properties, pairs(&key[..1]));
}

#[tokio::test]
async fn records_of_volumes_are_skipped_or_copied_as_they_are() {
    let volumes = [("bdm_v2", "True"), ("block_device_mapping", "[]"), ("root_device_name", "a")];
    let mut booting = image(&volumes);
    booting.size = Some(0);
    let mapping = at_a_glance();
    assert!(matches!(mapping.wanted(&booting).await, Err(NotWanted::Skipped(_))));
    let copying = Mapping { boot_from_volume: BootFromVolume::Copy, ..at_a_glance() };
    assert_eq!(wanted(&copying, &booting).await.attributes.properties, pairs(&volumes));
    // An image with its own data is usable without the volumes.
    booting.size = Some(1);
    assert!(wanted(&mapping, &booting).await.attributes.properties.is_empty());
}

#[tokio::test]
async fn other_images_are_named_by_their_new_ids() {
    let ids = [(OTHER.parse().unwrap(), ID.parse().unwrap())].into();
    let mapping = Mapping { ids, ..Mapping::default() };
    let source = image(&[("kernel_id", OTHER), ("ramdisk_id", ID), ("custom", OTHER)]);
    let wanted = wanted(&mapping, &source).await;
    let expected = pairs(&[("kernel_id", ID), ("ramdisk_id", ID), ("custom", OTHER)]);
    assert_eq!(wanted.attributes.properties, expected);
    assert_eq!(wanted.notes, [format!("kernel_id {OTHER} is {ID} at the target")]);
}

#[tokio::test]
async fn an_owner_is_found_by_name_or_the_image_blocked() {
    let source = projects(&[("p1", "Default", "web"), ("p2", "Other", "web"), ("p3", "D", "x")]);
    let target = projects(&[("q1", "Default", "web")]);
    let mapping = Mapping { owners: Owners::ByName { source, target }, ..Mapping::default() };
    let found = wanted(&mapping, &image(&[])).await;
    assert_eq!(found.attributes.owner.project(), Some("q1"));
    assert_eq!(found.notes, ["owner Default/web is q1 at the target"]);
    for (owner, said) in [
        ("p2", "the owner, project Other/web, does not exist at the target, or is not visible"),
        ("p9", "the owner, project p9, is unknown at the source, or not visible"),
    ] {
        let mut image = image(&[]);
        image.attributes.owner = Owner::Project(owner.to_owned());
        let blocked = mapping.wanted(&image).await.unwrap_err();
        let NotWanted::Blocked { reason, hint } = blocked else { panic!("{blocked:?}") };
        assert_eq!(reason, said);
        assert!(hint.contains("--owner"), "{hint}");
    }
}

#[tokio::test]
async fn images_without_an_owner_stay_so_and_the_callers_are_left_to_the_target() {
    let mut nobodys = image(&[]);
    nobodys.attributes.owner = Owner::NoProject;
    let source = projects(&[]);
    let by_name = Owners::ByName { target: source.clone(), source };
    let cases = [
        (by_name, nobodys.clone(), Owner::NoProject),
        (Owners::Caller, nobodys, Owner::Unsaid),
        (Owners::Caller, image(&[]), Owner::Unsaid),
    ];
    for (owners, image, expected) in cases {
        let mapping = Mapping { owners, ..Mapping::default() };
        let wanted = wanted(&mapping, &image).await;
        assert_eq!(wanted.attributes.owner, expected);
        let replica = Attributes { owner: Owner::Project("q".into()), ..image.attributes };
        let left_alone = mapping.onto(&wanted, &replica) == replica;
        assert_eq!(left_alone, expected == Owner::Unsaid);
    }
}

#[tokio::test]
async fn a_table_determines_the_owner() {
    let source = Some(projects(&[("p1", "Default", "web"), ("p2", "Default", "db")]));
    let target = projects(&[("q1", "Ops", "www"), ("q2", "D1", "x"), ("q3", "D2", "x")]);
    let table = |text: &str, target: &Option<Arc<Projects>>| {
        let table = Arc::new(text.parse::<Table>().unwrap());
        let owners = Owners::Table { table, source: source.clone(), target: target.clone() };
        Mapping { owners, ..Mapping::default() }
    };
    let target = Some(target);
    let goes_to = async |text: &str, target: &Option<Arc<Projects>>| match table(text, target)
        .wanted(&image(&[]))
        .await
    {
        Ok(wanted) => wanted.attributes.owner.project().unwrap().to_owned(),
        Err(NotWanted::Blocked { reason, .. }) => reason,
        Err(other) => panic!("{other:?}"),
    };
    let id = "0123456789abcdef0123456789abcdef";
    for (text, at, said) in [
        ("Default/web Ops/www", &target, "q1"),
        ("web www", &target, "q1"),
        ("p1 D2/x", &target, "q3"),
        (&format!("p1 {id}"), &None, id),
        (
            &format!("p1 {id}"),
            &target,
            &format!(
                "the owner, project Default/web (mapped to {id}), does not exist at the \
                 target, or is not visible"
            )[..],
        ),
        ("db www", &target, "the owner, project Default/web, is not in the table of owners"),
        (
            "web x",
            &target,
            "the owner, project Default/web (mapped to x), is in several domains of the target",
        ),
        (
            "web www",
            &None,
            "the owner, project Default/web, is mapped to www, but no Keystone \
            can look up that project's id",
        ),
    ] {
        assert_eq!(goes_to(text, at).await, said, "{text}");
    }
}

#[tokio::test]
async fn members_without_a_project_are_named_and_not_added() {
    let member = |project: &str, status| Member { project: project.into(), status };
    let source = projects(&[("p1", "D", "web"), ("p2", "D", "db"), ("p3", "D", "gone")]);
    let target = projects(&[("q1", "D", "web"), ("q2", "D", "db")]);
    let members = [
        member("p1", MemberStatus::Accepted),
        member("p2", MemberStatus::Rejected),
        member("p3", MemberStatus::Pending),
        member("p4", MemberStatus::Pending),
    ];
    let by_name = Owners::ByName { source, target };
    let mapping = Mapping { shared_with: by_name, ..Mapping::default() };
    let mapped = mapping.members(&members).await.unwrap();
    let expected = [member("q1", MemberStatus::Accepted), member("q2", MemberStatus::Rejected)];
    assert_eq!(mapped.members, expected);
    assert_eq!(
        mapped.unresolved,
        [
            "project D/gone does not exist at the target, or is not visible",
            "project p4 is unknown at the source, or not visible",
        ]
    );
    let kept = Mapping::default().members(&members).await.unwrap();
    assert_eq!((kept.members, kept.unresolved.len()), (members.to_vec(), 0));
    let callers = Mapping { shared_with: Owners::Caller, ..Mapping::default() };
    let none = callers.members(&members).await.unwrap();
    assert_eq!((none.members.len(), none.unresolved.len()), (0, 4));
}

#[tokio::test]
async fn a_copy_gets_the_name_and_the_owner_that_the_operator_gives() {
    let mapping = Mapping {
        name: Some("gold".to_owned()),
        owners: Owners::Project { id: "p9".to_owned(), label: Some("D/x".to_owned()) },
        ..Mapping::default()
    };
    let source = image(&[]);
    let mut unowned = source.clone();
    unowned.attributes.owner = Owner::NoProject;
    for image in [source, unowned] {
        let wanted = wanted(&mapping, &image).await;
        assert_eq!(wanted.attributes.name.as_deref(), Some("gold"));
        assert_eq!(wanted.attributes.owner, Owner::Project("p9".to_owned()));
        let notes = [
            "the image is named \"gold\" at the target; a later run without --rename sets the source's \
             name again",
            "owner at the target is project D/x (p9); a later run without --owner sets the source's \
             owner again",
        ];
        assert_eq!((&wanted.notes[..], wanted.losses.len()), (&notes.map(str::to_owned)[..], 0));
        // A replica that has both needs no update.
        let replica = mapping.onto(&wanted, &wanted.attributes);
        assert_eq!(replica, wanted.attributes);
    }
    let same = Mapping {
        name: Some("web".to_owned()),
        owners: Owners::Project { id: "p1".to_owned(), label: None },
        ..mapping
    };
    assert!(wanted(&same, &image(&[])).await.notes.is_empty());
    // The owner does not apply to the members.
    assert!(matches!(same.owner("other").await, Ok(Owner::Project(id)) if id == "p1"));
}
