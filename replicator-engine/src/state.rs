//! The state of a replica.

use std::fmt;

/// State of a replica compared with its image. `Display` writes the word used in reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Replica and image are equal.
    Same,
    /// The target has no replica.
    Missing,
    /// Attributes or properties differ.
    Metadata,
    /// Only the members differ.
    Members,
    /// The image is deactivated, hidden or protected on one side only.
    Status,
    /// The data differs. An update can't repair this: the data of an image id never changes.
    Content,
    /// Only the target holds the image.
    Extra,
    /// The target's record has no data yet.
    Partial,
    /// Nothing differs, but the records have no common digest that proves the data.
    Unverifiable,
    /// The image is deliberately not replicated.
    Skipped,
    /// The image can't be replicated.
    Blocked,
}

impl State {
    /// All states, in the order used by reports.
    pub const ALL: [Self; 11] = [
        Self::Same,
        Self::Missing,
        Self::Metadata,
        Self::Members,
        Self::Status,
        Self::Content,
        Self::Extra,
        Self::Partial,
        Self::Unverifiable,
        Self::Skipped,
        Self::Blocked,
    ];

    /// The word used in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Missing => "missing",
            Self::Metadata => "metadata",
            Self::Members => "members",
            Self::Status => "status",
            Self::Content => "content",
            Self::Extra => "extra",
            Self::Partial => "partial",
            Self::Unverifiable => "unverifiable",
            Self::Skipped => "skipped",
            Self::Blocked => "blocked",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
