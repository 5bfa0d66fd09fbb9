//! State and origin of a leftover record.

use std::fmt;

use glance_core::image::Status;

use crate::comparison::Difference;
use crate::error::WRONG_REPLICA;

/// How a leftover was recognized as made by this tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownBy {
    /// By the journal.
    Journal,
    /// By a property of the replica.
    Stamp,
    /// Not at all: its origin is unknown.
    Nothing,
}

/// State of a leftover record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeftoverState {
    /// Another run can complete it.
    Mendable,
    /// There is no record: it was not made, or was deleted.
    Gone,
    /// The id belongs to another record now.
    Foreign,
    /// The target waits for the data of an upload that has no sender any more.
    Saving,
    /// The target is importing the data.
    Importing,
    /// The target set the status `killed`, as old releases of Glance do after a failed upload.
    Killed,
    /// The source no longer holds the image.
    SourceGone,
    /// The source holds the image, but not its data; the status of the image there.
    SourceEmpty(Status),
    /// The record holds different data than the source.
    Content(Difference),
    /// Neither the journal nor a stamp shows that this tool made the record.
    NotOurs,
    /// The record, or that of the source's image, can't be read; the text is the reason.
    Unreadable(String),
}

impl KnownBy {
    /// The word used in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Stamp => "stamp",
            Self::Nothing => "nothing",
        }
    }
}

impl LeftoverState {
    /// The word used in reports.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Mendable => "mendable",
            Self::Gone => "gone",
            Self::Foreign => "foreign",
            Self::Saving => "saving",
            Self::Importing => "importing",
            Self::Killed => "killed",
            Self::SourceGone => "source gone",
            Self::SourceEmpty(_) => "source empty",
            Self::Content(_) => "content",
            Self::NotOurs => "not ours",
            Self::Unreadable(_) => "unreadable",
        }
    }

    /// Whether the leftover stays as it is until someone intervenes.
    pub fn is_stuck(&self) -> bool {
        !matches!(self, Self::Mendable | Self::Gone | Self::Foreign | Self::NotOurs)
    }

    /// What the operator can do about it.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Mendable | Self::Gone | Self::Foreign => None,
            Self::Saving => Some(
                "run `repair` again after the target's client_socket_timeout (default: 15 minutes): \
                 a running Glance then resets the record. If the record is still saving, that \
                 Glance was killed: ask the administrator to set this image from saving to queued \
                 in the database, and run `repair` again. Do not delete the record: that uses up \
                 the id",
            ),
            Self::Importing => Some(
                "repair again when the import has ended; a Glance that was killed meanwhile gives \
                 up its claim after 60 minutes",
            ),
            Self::Killed => {
                Some("have the target's administrator correct the status in Glance's database")
            }
            Self::SourceGone => Some(
                "delete the record if no other image needs the id: nothing can complete the \
                 record, and deleting it uses up the id",
            ),
            Self::SourceEmpty(_) => {
                Some("repair again when the source has the data; nothing else completes the record")
            }
            Self::Content(_) => Some(WRONG_REPLICA),
            Self::Unreadable(_) => {
                Some("have the server's administrator correct the record, then repair again")
            }
            Self::NotOurs => Some(
                "run livecopy or sync to complete the record, if it is queued and is to be the \
                 replica; repair leaves it alone",
            ),
        }
    }
}

impl fmt::Display for LeftoverState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mendable => f.write_str("`repair` can complete the record"),
            Self::Gone => f.write_str("the record does not exist: it was not made, or was deleted"),
            Self::Foreign => f.write_str("the id belongs to a record that this tool did not make"),
            Self::Saving => f.write_str("the target waits for data, but the upload has ended"),
            Self::Importing => f.write_str("the target is importing the data"),
            Self::Killed => f.write_str("the target has given up the record"),
            Self::SourceGone => f.write_str("the source no longer holds the image"),
            Self::SourceEmpty(status) => {
                write!(f, "the image has no data at the source (status {status})")
            }
            Self::Content(difference) => write!(
                f,
                "the replica holds different data and is hidden: {} is {} at the target and {} at \
                 the source",
                difference.field, difference.target, difference.source
            ),
            Self::NotOurs => f.write_str(
                "neither the journal nor a provenance property names this tool as the maker",
            ),
            Self::Unreadable(reason) => write!(f, "the record cannot be read: {reason}"),
        }
    }
}
