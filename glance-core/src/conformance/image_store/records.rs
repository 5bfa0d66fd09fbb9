//! Cases about records and members.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;

use super::scratch::{Scratch, attributes, body, refused};
use crate::conformance::{Outcome, same};
use crate::image::{Attributes, Image, ImageId, Member, MemberStatus, Owner, Status, Visibility};
use crate::selection::Selection;
use crate::store::{Activation, ByteRange, StoreErrorKind};

pub(super) async fn a_new_record_is_queued(scratch: &Scratch) -> Outcome {
    let made = scratch.queued().await?;
    let read = scratch.store.get(&made.id).await?;
    same!("status", made.status, Status::Queued);
    same!("size", made.size, None);
    same!("checksum", made.checksum, None);
    same!("os_hash_value", made.os_hash_value, None);
    same!("the record read again", read, made);
    Ok(())
}

pub(super) async fn an_id_is_taken_once(scratch: &Scratch) -> Outcome {
    let made = scratch.queued().await?;
    let other = Attributes { name: Some("other".to_owned()), ..attributes() };
    let again = scratch.store.create(&Image::queued(made.id.clone(), other)).await;
    refused("create again", StoreErrorKind::IdTaken, again)?;
    same!("the first record", scratch.store.get(&made.id).await?, made);
    Ok(())
}

pub(super) async fn a_listing_holds_every_image_once(scratch: &Scratch) -> Outcome {
    let mut made = vec![scratch.active(b"complete").await?];
    for visibility in [Visibility::Private, Visibility::Shared, Visibility::Community] {
        for os_hidden in [false, true] {
            let wanted = Attributes { visibility, os_hidden, ..attributes() };
            made.push(scratch.create(wanted).await?);
        }
    }
    let listed: Vec<Image> =
        scratch.store.list(&Selection::everything()).await?.try_collect().await?;
    let in_order = listed.windows(2).all(|pair| pair[0].id < pair[1].id);
    same!("ascending order, each once", in_order, true);
    for image in &made {
        let found: Vec<&Image> = listed.iter().filter(|it| it.id == image.id).collect();
        same!("what is listed", found, vec![image]);
    }
    Ok(())
}

pub(super) async fn attributes_are_kept(scratch: &Scratch) -> Outcome {
    let wanted = all_attributes();
    let made = scratch.create(wanted.clone()).await?;
    let read = scratch.store.get(&made.id).await?;
    same!("what is kept", without_owner(read.attributes), without_owner(wanted));
    Ok(())
}

pub(super) async fn attributes_are_changed(scratch: &Scratch) -> Outcome {
    let mut current = scratch.active(b"complete").await?;
    let all = Attributes { visibility: Visibility::Community, ..all_attributes() };
    // To all attributes, then to other values of the same keys, then back.
    let mut other = all.clone();
    other.properties.values_mut().for_each(|value| value.push('!'));
    other.name = None;
    for wanted in [all, other, attributes()] {
        let answer = scratch.store.update(&current, &wanted).await?;
        let read = scratch.store.get(&current.id).await?;
        same!("the answer", answer.attributes, read.attributes);
        same!("what is kept", without_owner(read.attributes.clone()), without_owner(wanted));
        same!("the data's size", read.size, current.size);
        current = read;
    }
    Ok(())
}

pub(super) async fn an_update_writes_only_what_differs(scratch: &Scratch) -> Outcome {
    let old = scratch.queued().await?;
    let mut mine = old.attributes.clone();
    mine.properties.insert("mine".to_owned(), "1".to_owned());
    scratch.store.update(&old, &mine).await?;
    // Another client, which read the record before this change, changes another attribute.
    let theirs = Attributes { min_ram: 64, ..old.attributes.clone() };
    let after = scratch.store.update(&old, &theirs).await?;
    same!("both changes", after.attributes, Attributes { min_ram: 64, ..mine });
    Ok(())
}

pub(super) async fn formats_are_fixed_once_there_is_data(scratch: &Scratch) -> Outcome {
    let queued = scratch.queued().await?;
    let wanted = Attributes { disk_format: Some("iso".to_owned()), ..queued.attributes.clone() };
    let changed = scratch.store.update(&queued, &wanted).await?;
    same!("a queued image's format", changed.attributes.disk_format, wanted.disk_format);
    let active = scratch.active(b"complete").await?;
    let update = scratch.store.update(&active, &wanted).await;
    refused("change the format", StoreErrorKind::Forbidden, update)?;
    same!("the record", scratch.store.get(&active.id).await?.attributes, active.attributes);
    Ok(())
}

pub(super) async fn shared_images_have_members(scratch: &Scratch) -> Outcome {
    let wanted = Attributes { visibility: Visibility::Shared, ..attributes() };
    let id = scratch.create(wanted).await?.id;
    same!("members at first", scratch.store.members(&id).await?, vec![]);
    let member = |project: &str, status| Member { project: project.to_owned(), status };
    let sets = [
        vec![member("one", MemberStatus::Pending), member("two", MemberStatus::Accepted)],
        vec![member("three", MemberStatus::Pending), member("two", MemberStatus::Rejected)],
        vec![],
    ];
    for set in sets {
        scratch.store.set_members(&id, &set).await?;
        let mut members = scratch.store.members(&id).await?;
        members.sort();
        same!("members", members, set);
    }
    Ok(())
}

pub(super) async fn other_images_have_no_members(scratch: &Scratch) -> Outcome {
    let id = scratch.queued().await?.id;
    let member = Member { project: "one".to_owned(), status: MemberStatus::Pending };
    let set = scratch.store.set_members(&id, &[member]).await;
    refused("set members", StoreErrorKind::Forbidden, set)?;
    Ok(())
}

pub(super) async fn protected_images_stay(scratch: &Scratch) -> Outcome {
    let image = scratch.create(Attributes { protected: true, ..attributes() }).await?;
    let delete = scratch.store.delete(&image.id).await;
    refused("delete a protected image", StoreErrorKind::Forbidden, delete)?;
    same!("the record", scratch.store.get(&image.id).await?, image);
    Ok(())
}

pub(super) async fn deleted_images_are_gone(scratch: &Scratch) -> Outcome {
    let id = scratch.active(b"complete").await?.id;
    scratch.store.delete(&id).await?;
    refused("get", StoreErrorKind::NotFound, scratch.store.get(&id).await)?;
    refused("read", StoreErrorKind::NotFound, scratch.store.read(&id, ByteRange::ALL).await)?;
    let listed: Vec<Image> =
        scratch.store.list(&Selection::everything()).await?.try_collect().await?;
    same!("listed", listed.iter().any(|image| image.id == id), false);
    Ok(())
}

pub(super) async fn unknown_ids_are_not_found(scratch: &Scratch) -> Outcome {
    let id = ImageId::random();
    let unknown = StoreErrorKind::NotFound;
    let store = &scratch.store;
    let image = Image::queued(id.clone(), attributes());
    let wanted = Attributes { min_ram: 64, ..attributes() };
    refused("get", unknown, store.get(&id).await)?;
    refused("read", unknown, store.read(&id, ByteRange::ALL).await)?;
    refused("upload", unknown, store.upload(&id, body(b"data")).await)?;
    refused("update", unknown, store.update(&image, &wanted).await)?;
    refused("activation", unknown, store.set_activation(&id, Activation::Active).await)?;
    refused("members", unknown, store.members(&id).await)?;
    refused("delete", unknown, store.delete(&id).await)?;
    Ok(())
}

/// A non-default value for each attribute, and properties that are difficult to transfer.
fn all_attributes() -> Attributes {
    let properties = [
        ("plain", "value"),
        ("empty", ""),
        ("a/slash", "a/b"),
        ("a~tilde", "~1"),
        ("ünïcode", "磁盘"),
        ("quotes", "\"'\\"),
        ("looks_like_json", "{\"a\": [1]}"),
    ];
    let text = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    Attributes {
        name: Some("Ünïcode 磁盘".to_owned()),
        visibility: Visibility::Shared,
        os_hidden: true,
        min_disk: 3,
        min_ram: 512,
        tags: ["one", "zwölf"].map(str::to_owned).into(),
        properties: properties.map(text).into_iter().collect::<BTreeMap<_, _>>(),
        ..attributes()
    }
}

/// The store may set an unspecified owner to the caller's project.
fn without_owner(attributes: Attributes) -> Attributes {
    Attributes { owner: Owner::Unsaid, ..attributes }
}
