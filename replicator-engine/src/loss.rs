//! Parts of an image that its replica does not have.

use std::fmt;

use serde_json::{Value, json};

/// A part of the source image that the target does not get.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loss {
    /// The kind of part.
    pub kind: LossKind,
    /// The details, as a sentence without a full stop.
    pub detail: String,
}

/// The parts of an image that can be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum LossKind {
    /// Members: the projects that the image is shared with.
    Members,
    /// The owner: the project that the image belongs to.
    Owner,
}

impl Loss {
    pub(crate) fn owner(detail: impl Into<String>) -> Self {
        Self { kind: LossKind::Owner, detail: detail.into() }
    }

    /// Members of the image that the target does not get.
    pub fn members(detail: impl Into<String>) -> Self {
        Self { kind: LossKind::Members, detail: detail.into() }
    }

    /// The loss as it appears in reports: `{"kind": "members", "detail": "..."}`.
    pub fn to_json(&self) -> Value {
        json!({ "kind": self.kind.as_str(), "detail": self.detail })
    }
}

impl LossKind {
    /// The word used in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Members => "members",
            Self::Owner => "owner",
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}
