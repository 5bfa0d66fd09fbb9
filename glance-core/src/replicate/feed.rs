//! One reading of an image's data, and the shares that targets have of it.

use futures_util::stream::StreamExt;

use crate::body::Body;
use crate::digest::Hashers;
use crate::image::Image;

use super::checked::{DataVerdict, Expected, checked};
use super::splice::Splice;
use super::{CopyError, Replication};

/// One target's share of a reading of the source.
#[derive(Debug)]
pub(super) struct Share {
    reading: Reading,
}

/// The data of an image on its way, and what will be found of it.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) data: Body,
    pub(super) verdict: DataVerdict,
    /// How many bytes of it come from the target itself.
    pub(super) begun: u64,
}

impl Share {
    #[allow(dead_code, reason = "what runs many targets takes it up")]
    /// A share for each of `replications`, which have one source, of the data of `image`. The data
    /// is read once for those that are opened soon after another. They must be polled at once: who
    /// opens a share waits for the others to be opened, or dropped.
    pub(super) fn each(replications: &[&Replication], image: &Image) -> Vec<Self> {
        let share = |replication: &&Replication| Self::alone(replication, image);
        replications.iter().map(share).collect()
    }

    /// The only share of a reading.
    pub(super) fn alone(replication: &Replication, image: &Image) -> Self {
        Self { reading: Reading::of(replication, image) }
    }

    /// The data from its beginning, of which the target has `begun` to get the first bytes: what can
    /// be taken from there is not read from the source. May be called again when a target broke off.
    ///
    /// # Errors
    /// When the source does not give it.
    pub(super) async fn open(&mut self, begun: Body) -> Result<Opened, CopyError> {
        self.reading.open(begun).await
    }

    /// This target gets its data in another way, at least for now: nobody waits for it. It can still
    /// be opened.
    pub(super) fn leave(&mut self) {}
}

/// How the data of one image is read and checked.
#[derive(Debug, Clone)]
struct Reading {
    splice: Splice,
    expected: Expected,
    hashers: Hashers,
}

impl Reading {
    fn of(replication: &Replication, image: &Image) -> Self {
        let policy = &replication.policy;
        Self {
            splice: Splice::new(&replication.source, image, policy),
            expected: Expected::of(image),
            hashers: policy.hashers,
        }
    }

    /// The data, of which the first bytes are `begun`.
    async fn open(&self, begun: Body) -> Result<Opened, CopyError> {
        let begun = if self.can_go_on(&begun) { begun } else { Body::empty() };
        let offset = begun.size().unwrap_or_default();
        let rest = match self.expected.size {
            Some(size) if offset > 0 && size == offset => Body::empty(),
            _ => self.splice.read(offset).await.map_err(CopyError::Source)?,
        };
        let size = rest.size().map(|size| offset + size);
        let data = Body::from_stream(begun.chain(rest), size);
        let (data, verdict) = checked(data, self.expected.clone(), self.hashers);
        Ok(Opened { data, verdict, begun: offset })
    }

    /// Whether what was begun can be a part of the data, and a digest says so in the end.
    fn can_go_on(&self, begun: &Body) -> bool {
        let fits = begun.size() <= self.expected.size;
        fits && self.expected.digest.is_some()
    }
}
