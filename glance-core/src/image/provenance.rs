//! The properties by which the tool recognizes its own replicas.

/// The source that a replica was made from.
pub const SOURCE: &str = "glance_replicator.source";

/// The id at the source of a replica that got another one.
pub const SOURCE_ID: &str = "glance_replicator.source_id";

/// Says, of a replica that got another id, just that: the property to find all of them by.
pub const NEW_ID: &str = "glance_replicator.new_id";

/// All of these properties.
pub const ALL: [&str; 3] = [SOURCE, SOURCE_ID, NEW_ID];
