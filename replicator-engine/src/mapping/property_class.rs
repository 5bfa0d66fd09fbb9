//! Whose business a property is: the site's, or the image's.

use glance_core::image::provenance;

/// What a property is about, by its exact name. Many properties begin with `os_`, `img_` or
/// `owner_` and mean something everywhere, so there is no class of a prefix but Glance's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Glance's own: can be neither set nor removed (403).
    Reserved,
    /// Where the source has the image: refused by Glance, and sometimes secret.
    Link,
    /// What means something at the source's site only: its instances, users and projects.
    SiteLocal,
    /// How the source's volumes hang together: for booting from a volume that is not elsewhere.
    BootFromVolume,
    /// The key of encrypted data, in the source's key manager.
    EncryptedVolume,
    /// The image's signature, which Glance verifies by its own key manager.
    Signature,
    /// Another image by its id.
    Image,
    /// What this tool writes to a replica, to know it again.
    Stamp,
    /// Everything else: the image's own.
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

/// Whether `name` is a field of every record, so that no property can be called so.
pub(super) fn is_field(name: &str) -> bool {
    FIELDS.contains(&name)
}

const FIELDS: &[&str] = &[
    "checksum",
    "container_format",
    "created_at",
    "disk_format",
    "id",
    "min_disk",
    "min_ram",
    "name",
    "os_hash_algo",
    "os_hash_value",
    "os_hidden",
    "owner",
    "protected",
    "size",
    "status",
    "tags",
    "updated_at",
    "virtual_size",
    "visibility",
];

/// The prefix that Glance keeps for itself (`glance/api/v2/images.py`).
const RESERVED: &str = "os_glance";

/// Names as Nova, Cinder, Glance and Horizon write them.
const CLASSES: &[(Class, &[&str])] = &[
    (
        Class::Link,
        &[
            "self",
            "file",
            "schema",
            "direct_url",
            "location",
            "locations",
            "stores",
            "deleted",
            "deleted_at",
        ],
    ),
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
    (
        Class::Signature,
        &[
            "img_signature",
            "img_signature_certificate_uuid",
            "img_signature_hash_method",
            "img_signature_key_type",
        ],
    ),
    (Class::Image, &["kernel_id", "ramdisk_id"]),
];

/// The id of the key that an encrypted image's data is read with.
pub(super) const KEY: &str = "cinder_encryption_key_id";

/// Whether that key is deleted with the image.
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
            ("img_signature_other", Class::Custom),
            ("owner_specified.openstack.sha256", Class::Custom),
            ("owner_id", Class::SiteLocal),
            ("bdm_v2", Class::BootFromVolume),
            (KEY, Class::EncryptedVolume),
            ("ramdisk_id", Class::Image),
            ("img_signature", Class::Signature),
            ("stores", Class::Link),
            ("", Class::Custom),
        ] {
            assert_eq!(Class::of(name), class, "{name}");
        }
    }
}
