//! Classifies properties: those of the image, and those of a site.

use glance_core::image::provenance;
use glance_core::image::{LINK_FIELDS, RECORD_FIELDS};

/// The class of a property, determined by its exact name. Many properties that begin with `os_`,
/// `img_` or `owner_` are meaningful everywhere, so only Glance's own prefix is a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Reserved for Glance: clients can neither set nor remove it (status 403).
    Reserved,
    /// Where the source stores the image. Glance rejects it, and it may be secret.
    Link,
    /// Meaningful only at the source's site: its instances, users and projects.
    SiteLocal,
    /// Describes volumes of the source, for booting from volumes that do not exist elsewhere.
    BootFromVolume,
    /// The key of encrypted data in the source's key manager.
    EncryptedVolume,
    /// The id of another image.
    Image,
    /// Written by this tool to recognize its replicas.
    Stamp,
    /// Any other property: it belongs to the image.
    Custom,
}

impl Class {
    /// The class of the property `name`.
    pub fn of(name: &str) -> Self {
        if name.starts_with(RESERVED) {
            return Self::Reserved;
        }
        if provenance::ALL.contains(&name) {
            return Self::Stamp;
        }
        let listed = CLASSES.iter().find(|(_, names)| names.contains(&name));
        listed.map_or(Self::Custom, |(class, _)| *class)
    }
}

/// Whether `name` is a field of every record, and therefore not a valid property name.
pub(super) fn is_field(name: &str) -> bool {
    RECORD_FIELDS.contains(&name)
}

/// The prefix reserved for Glance (`glance/api/v2/images.py`).
const RESERVED: &str = "os_glance";

/// Property names as written by Nova, Cinder, Glance and Horizon.
const CLASSES: &[(Class, &[&str])] = &[
    (Class::Link, LINK_FIELDS),
    (
        Class::SiteLocal,
        &[
            "base_image_ref",
            "boot_roles",
            "image_location",
            "image_state",
            "instance_uuid",
            "owner_id",
            "owner_project_name",
            "owner_user_name",
            "user_id",
        ],
    ),
    (Class::BootFromVolume, &["bdm_v2", "block_device_mapping", "root_device_name"]),
    (Class::EncryptedVolume, &[KEY, KEY_DELETION]),
    (Class::Image, &["kernel_id", "ramdisk_id"]),
];

/// The id of the key that decrypts an encrypted image's data.
pub(super) const KEY: &str = "cinder_encryption_key_id";

/// Whether the key is deleted with the image.
pub(super) const KEY_DELETION: &str = "cinder_encryption_key_deletion_policy";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_glances_own_prefix_is_a_class() {
        for (name, class) in [
            ("os_glance_importing_to_stores", Class::Reserved),
            ("os_distro", Class::Custom),
            ("img_config_drive", Class::Custom),
            ("owner_specified.openstack.sha256", Class::Custom),
            ("owner_id", Class::SiteLocal),
            ("bdm_v2", Class::BootFromVolume),
            (KEY, Class::EncryptedVolume),
            ("ramdisk_id", Class::Image),
            ("img_signature", Class::Custom),
            ("stores", Class::Link),
            ("", Class::Custom),
        ] {
            assert_eq!(Class::of(name), class, "{name}");
        }
    }
}
