//! How fast a run goes about its work.

use std::fmt;

/// How many images and connections work at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Images in progress.
    pub images: usize,
    /// Connections that read data from the source, of all images together. Each image in progress
    /// has at least one.
    pub readers: usize,
}

/// What limits the copies in progress. `Display` writes the words of displays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bottleneck {
    /// The source, or the link to it.
    Source,
    /// A target, or the link to it.
    Target,
    /// The time that servers take to answer requests without data.
    Requests,
    /// This machine's processor.
    Processor,
    /// The bandwidth limit of the policy.
    Bandwidth,
    /// The disk of the spool.
    Disk,
    /// No image is in progress.
    Idle,
}

/// Why the pace of a run changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PaceReason {
    /// More may be faster.
    More,
    /// Fewer may be as fast.
    Fewer,
    /// The last change did not pay.
    Undone,
    /// A server refused requests, or many requests failed.
    Refused,
}

impl Bottleneck {
    /// The word used in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Target => "target",
            Self::Requests => "requests",
            Self::Processor => "processor",
            Self::Bandwidth => "bandwidth limit",
            Self::Disk => "disk",
            Self::Idle => "nothing",
        }
    }
}

impl PaceReason {
    /// The word used in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::More => "more",
            Self::Fewer => "fewer",
            Self::Undone => "undone",
            Self::Refused => "refused",
        }
    }
}

impl fmt::Display for Bottleneck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for PaceReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
