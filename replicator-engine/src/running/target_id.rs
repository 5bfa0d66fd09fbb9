//! Identifies the targets of a run.

/// A target of a run: its position among the replications of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TargetId(usize);

impl TargetId {
    /// The ids of `count` targets.
    pub(crate) fn all(count: usize) -> impl Iterator<Item = Self> {
        (0..count).map(Self)
    }

    /// The position of the target among the replications of the run.
    pub(crate) fn index(self) -> usize {
        self.0
    }
}
