//! State and origin of a leftover record.

use std::fmt;

use crate::comparison::Difference;

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
                "a Glance that lives notices that nobody sends any more, within its \
                 client_socket_timeout (900 s), and sets the record back: repair again then; if it \
                 stays, that Glance was killed too, and no request but DELETE moves the record, \
                 which uses up the id: have its administrator set the status of this one image from \
                 saving to queued in Glance's database, and repair again",
            ),
            Self::Importing => Some(
                "the import goes on without us: repair again when it has ended; a Glance that was \
                 killed meanwhile gives up its claim after 60 minutes",
            ),
            Self::Killed => {
                Some("no request moves it: its administrator can, in Glance's database")
            }
            Self::SourceGone => Some(
                "nothing can complete it; if nobody else needs the id, delete the record, which \
                 uses the id up",
            ),
            Self::Content(_) => Some(
                "an active image takes no second upload: examine the target's storage, delete the \
                 replica there, have its id purged (glance-manage db purge_images_table), and run \
                 again",
            ),
            Self::Unreadable(_) => {
                Some("have the server's administrator correct the record, and repair again")
            }
            Self::NotOurs => Some(
                "it is left alone; if it is to be the replica, livecopy or sync completes one that \
                 is queued",
            ),
        }
    }
}

impl fmt::Display for LeftoverState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mendable => f.write_str("a run completes it from the source"),
            Self::Gone => f.write_str("there is no record: it was not made, or it was deleted"),
            Self::Foreign => f.write_str("another record has the id now, which is not ours"),
            Self::Saving => f.write_str("the target waits for data that nobody sends any more"),
            Self::Importing => f.write_str("the target is getting its data by itself"),
            Self::Killed => f.write_str("the target gave it up for good"),
            Self::SourceGone => f.write_str("the source does not hold the image any more"),
            Self::Content(difference) => write!(
                f,
                "it holds other data, and is out of sight: {} is {} there and {} at the source",
                difference.field, difference.target, difference.source
            ),
            Self::NotOurs => f.write_str("neither the journal nor a stamp says that it is ours"),
            Self::Unreadable(reason) => write!(f, "its record can't be read: {reason}"),
        }
    }
}
