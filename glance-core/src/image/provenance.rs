//! The properties that mark an image as a replica made by this tool.

/// The source of the replica.
pub const SOURCE: &str = "glance_replicator.source";

/// The project of the sign-in at the source, as a digest of its id: its users see only a part of the
/// images. Absent for an administrator, who sees all images.
pub const SOURCE_VIEW: &str = "glance_replicator.source_view";

/// The image's id at the source, if the replica has a different id.
pub const SOURCE_ID: &str = "glance_replicator.source_id";

/// Marks a replica whose id differs from the id at the source, so that all such replicas can be
/// listed.
pub const NEW_ID: &str = "glance_replicator.new_id";

/// All of these properties.
pub const ALL: [&str; 4] = [SOURCE, SOURCE_VIEW, SOURCE_ID, NEW_ID];
