//! Cases about listings with a selection.

use std::collections::BTreeSet;

use futures_util::TryStreamExt;
use jiff::{SignedDuration, Timestamp};

use super::scratch::{Scratch, attributes};
use crate::conformance::{Outcome, Wrong, same};
use crate::image::{Attributes, Image, ImageId, Owner, Visibility};
use crate::selection::{Condition, Rule, Selection};

pub(super) async fn ids_select(scratch: &Scratch) -> Outcome {
    let made = [scratch.queued().await?, scratch.queued().await?, scratch.queued().await?];
    // More ids than one request to a server contains.
    let mut ids: BTreeSet<ImageId> = (0..130).map(|_| ImageId::random()).collect();
    ids.extend([made[0].id.clone(), made[2].id.clone()]);
    lists(scratch, &made, "ids", &Selection::of_ids(ids.clone()), &[0, 2]).await?;
    let more = Selection::new(conditions(&["name=other"])?, [], []);
    lists(scratch, &made, "ids and a name", &more.among(ids), &[]).await?;
    lists(scratch, &made, "no id", &Selection::of_ids(BTreeSet::new()), &[]).await
}

pub(super) async fn names_select(scratch: &Scratch) -> Outcome {
    let mut made = Vec::new();
    for name in ["one, two", "in:one", "\"quoted\" \\", "Ünïcode 磁盘", "", "debian-12"] {
        let name = Some(name.to_owned());
        made.push(scratch.create(Attributes { name, ..attributes() }).await?);
    }
    made.push(scratch.create(Attributes { name: None, ..attributes() }).await?);
    let cases: &[(&[&str], &[usize])] = &[
        (&["name=one, two"], &[0]),
        (&["name=in:one"], &[1]),
        (&["name=\"quoted\" \\"], &[2]),
        (&["name=Ünïcode 磁盘"], &[3]),
        (&["name="], &[4]),
        (&["name=one, two", "name=in:one", "name=", "name=debian-12"], &[0, 1, 4, 5]),
        (&["name=one, two", "name=\"quoted\" \\"], &[0, 2]),
        (&["name=debian-*"], &[5]),
        (&["name=*e*", "name=[!a-z]*"], &[0, 1, 2, 3, 5]),
        (&["name=debian-12", "name-regex=^.{7} 磁"], &[3, 5]),
        (&["name=Debian-12"], &[]),
        (&["name=😀"], &[]),
    ];
    all_list(scratch, &made, cases).await
}

pub(super) async fn tags_select(scratch: &Scratch) -> Outcome {
    let mut made = Vec::new();
    for tags in [&["one", "two words"][..], &["one", "a,b"], &["zwölf"], &[]] {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        made.push(scratch.create(Attributes { tags, ..attributes() }).await?);
    }
    let cases: &[(&[&str], &[usize])] = &[
        (&["tag=one"], &[0, 1]),
        (&["tag=two words"], &[0]),
        (&["tag=a,b"], &[1]),
        (&["tag=zwölf", "tag=two words"], &[0, 2]),
        (&["tag= one"], &[]),
        (&["tag=on*"], &[]),
    ];
    all_list(scratch, &made, cases).await
}

pub(super) async fn properties_select(scratch: &Scratch) -> Outcome {
    let mut made = Vec::new();
    for properties in [
        &[("os_distro", "debian"), ("architecture", "x86_64"), ("a/b~c", "1,2")][..],
        &[("os_distro", "debian"), ("architecture", "aarch64"), ("empty", "")],
        // Keys that have another meaning in a query or in Glance's database.
        &[("os_distro", "in:debian"), ("limit", "1"), ("metadata", "x"), ("a_max", "2")],
    ] {
        let text = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let properties = properties.iter().map(text).collect();
        made.push(scratch.create(Attributes { properties, ..attributes() }).await?);
    }
    let cases: &[(&[&str], &[usize])] = &[
        (&["where=os_distro=debian"], &[0, 1]),
        (&["where=os_distro=in:debian"], &[2]),
        (&["where=a/b~c=1,2"], &[0]),
        (&["where=empty="], &[1]),
        (&["where=os_distro=debian", "where=architecture=x86_64"], &[0]),
        (&["where=architecture=aarch64", "where=architecture=x86_64"], &[0, 1]),
        (&["where=architecture"], &[0, 1]),
        (&["where=limit=1"], &[2]),
        (&["where=metadata=x"], &[2]),
        (&["where=a_max=2"], &[2]),
        (&["where=unknown=x"], &[]),
        (&["where=os_distro=😀"], &[]),
    ];
    all_list(scratch, &made, cases).await
}

pub(super) async fn kinds_select(scratch: &Scratch) -> Outcome {
    let text = |text: &str| Some(text.to_owned());
    let made = [
        scratch.active(b"complete").await?,
        scratch.create(Attributes { disk_format: text("qcow2"), ..attributes() }).await?,
        scratch.create(Attributes { visibility: Visibility::Community, ..attributes() }).await?,
        scratch
            .create(Attributes { owner: Owner::Project("conforming".to_owned()), ..attributes() })
            .await?,
        scratch.create(Attributes { os_hidden: true, protected: true, ..attributes() }).await?,
    ];
    let cases: &[(&[&str], &[usize])] = &[
        (&["status=active"], &[0]),
        (&["status=queued", "status=saving"], &[1, 2, 3, 4]),
        (&["disk-format=qcow2"], &[1]),
        (&["disk-format=qcow2", "disk-format=raw"], &[0, 1, 2, 3, 4]),
        (&["container-format=ovf"], &[]),
        (&["visibility=community"], &[2]),
        (&["visibility=community", "visibility=private"], &[0, 1, 2, 3, 4]),
        (&["project=conforming"], &[3]),
        (&["project=conforming", "project=other"], &[3]),
        (&["protected=true"], &[4]),
        (&["protected=false", "status=queued"], &[1, 2, 3]),
        (&["os-hidden=true"], &[4]),
        (&["os-hidden=false"], &[0, 1, 2, 3]),
        (&["os-hidden=false", "os-hidden=true"], &[0, 1, 2, 3, 4]),
        (&["os-hidden=false", "protected=true"], &[]),
    ];
    all_list(scratch, &made, cases).await
}

pub(super) async fn sizes_select(scratch: &Scratch) -> Outcome {
    let made =
        [scratch.active(b"1").await?, scratch.active(b"12345").await?, scratch.queued().await?];
    let cases: &[(&[&str], &[usize])] = &[
        (&["min-size=5"], &[1]),
        (&["max-size=5"], &[0, 1]),
        (&["min-size=1", "max-size=4"], &[0]),
        (&["min-size=1k"], &[]),
        (&["min-size=18446744073709551615"], &[]),
        (&["max-size=18446744073709551615"], &[0, 1]),
    ];
    all_list(scratch, &made, cases).await
}

pub(super) async fn times_select(scratch: &Scratch) -> Outcome {
    let now = Some(Timestamp::now().to_string());
    let image = Image::queued(ImageId::random(), attributes());
    let image = Image { created_at: now.clone(), updated_at: now, ..image };
    let made = [scratch.create_as(image).await?];
    for (field, time) in [("created", &made[0].created_at), ("updated", &made[0].updated_at)] {
        let time: Timestamp = time.as_deref().unwrap_or_default().parse()?;
        let shifted = |milliseconds| time + SignedDuration::from_millis(milliseconds);
        for (side, shift, selected) in [
            ("after", 0, true),
            ("after", -500, true),
            ("after", 1, false),
            ("after", 86_400_000, false),
            ("before", 0, false),
            ("before", 1, true),
            ("before", 1000, true),
            ("before", -86_400_000, false),
        ] {
            let condition = format!("{field}-{side}={}", shifted(shift));
            let expected: &[usize] = if selected { &[0] } else { &[] };
            all_list(scratch, &made, &[(&[&condition], expected)]).await?;
        }
        let conditions = [
            format!("{field}-after={}", shifted(-3_600_000)),
            format!("{field}-before={}", shifted(3_600_000)),
        ];
        let [after, before] = &conditions;
        all_list(scratch, &made, &[(&[after, before], &[0])]).await?;
    }
    all_list(scratch, &made, &[(&["updated-within=1d"], &[0])]).await
}

pub(super) async fn digests_select(scratch: &Scratch) -> Outcome {
    let made = [scratch.active(b"one").await?, scratch.active(b"other").await?];
    let digest = made[1].os_hash_value.as_deref().unwrap_or_default();
    let condition = format!("where=os_hash_value={digest}");
    all_list(scratch, &made, &[(&[&condition], &[1])]).await
}

pub(super) async fn unwanted_images_are_left_out(scratch: &Scratch) -> Outcome {
    let made = [
        scratch.active(b"complete").await?,
        scratch.queued().await?,
        scratch.create(Attributes { name: Some("other".to_owned()), ..attributes() }).await?,
    ];
    let queued = conditions(&["status=queued"])?;
    let unwanted = conditions(&["name=other", "tag=none"])?;
    let selection = Selection::new(queued, unwanted, []);
    lists(scratch, &made, "queued, not other", &selection, &[1]).await
}

pub(super) async fn the_first_rule_that_fits_decides(scratch: &Scratch) -> Outcome {
    let made = [
        scratch.active(b"complete").await?,
        scratch.queued().await?,
        scratch.create(Attributes { os_hidden: true, ..attributes() }).await?,
    ];
    for (rules, expected) in [
        (&["+ os-hidden=true", "- status=queued"][..], &[0, 2][..]),
        (&["- status=queued", "+ os-hidden=true"], &[0]),
        (&["+ status=active", "- *"], &[0]),
        (&["- *", "+ status=active"], &[]),
    ] {
        let parsed =
            rules.iter().map(|rule| rule.parse::<Rule>()).collect::<Result<Vec<_>, _>>()?;
        let selection = Selection::new([], [], parsed);
        lists(scratch, &made, &rules.join("; "), &selection, expected).await?;
    }
    Ok(())
}

fn conditions(texts: &[&str]) -> Result<Vec<Condition>, Wrong> {
    Ok(texts.iter().map(|text| text.parse()).collect::<Result<_, _>>()?)
}

/// Checks for each set of wanted conditions which of the images in `made` are listed.
async fn all_list(scratch: &Scratch, made: &[Image], cases: &[(&[&str], &[usize])]) -> Outcome {
    for (wanted, expected) in cases {
        let selection = Selection::new(conditions(wanted)?, [], []);
        lists(scratch, made, &wanted.join(" and "), &selection, expected).await?;
    }
    Ok(())
}

async fn lists(
    scratch: &Scratch,
    made: &[Image],
    what: &str,
    selection: &Selection,
    expected: &[usize],
) -> Outcome {
    let listed: Vec<Image> = scratch.store.list(selection).await?.try_collect().await?;
    let in_order = listed.windows(2).all(|pair| pair[0].id < pair[1].id);
    same!(format!("{what}: ascending order, each once"), in_order, true);
    let not_admitted = listed.iter().find(|image| !selection.admits(image));
    same!(format!("{what}: listed against the selection"), not_admitted, None);
    let found = made.iter().enumerate().filter(|(_, image)| listed.contains(image));
    let found: Vec<usize> = found.map(|(index, _)| index).collect();
    same!(format!("{what}: listed of those made"), found, expected);
    Ok(())
}
