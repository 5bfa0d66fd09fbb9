//! Updates of records.

use super::{Attributes, Image, Owner, Status};

/// Applies the difference between `current` and `wanted` to `stored`, all or nothing, by Glance's
/// rules: an absent owner or format leaves the stored value unchanged. For stores that keep records
/// themselves.
///
/// # Errors
/// When the update would change the formats of an image that is not queued; the error is a message.
pub fn apply(
    stored: &mut Image,
    current: &Attributes,
    wanted: &Attributes,
) -> Result<(), &'static str> {
    let changed = |now: &Option<String>, then: &Option<String>| then.is_some() && now != then;
    let format = changed(&current.disk_format, &wanted.disk_format)
        || changed(&current.container_format, &wanted.container_format);
    if format && stored.status != Status::Queued {
        return Err("the formats cannot change once the image has data");
    }
    let kept = &mut stored.attributes;
    macro_rules! overwrite {
        ($differs:expr => $($field:ident)*) => { $(
            if $differs(&current.$field, &wanted.$field) {
                kept.$field.clone_from(&wanted.$field);
            }
        )* };
    }
    let said = |now: &Owner, then: &Owner| *then != Owner::Unsaid && now != then;
    overwrite!(said => owner);
    overwrite!(changed => disk_format container_format);
    overwrite!(PartialEq::ne => name visibility protected os_hidden min_disk min_ram tags);
    kept.properties.retain(|key, _| {
        wanted.properties.contains_key(key) || !current.properties.contains_key(key)
    });
    for (key, value) in &wanted.properties {
        if current.properties.get(key) != Some(value) {
            kept.properties.insert(key.clone(), value.clone());
        }
    }
    Ok(())
}
