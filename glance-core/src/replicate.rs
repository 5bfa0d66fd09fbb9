//! Making one store hold what another holds, and proving it.
//!
//! [`Replication::run`] is the whole way of every image: list both stores, pair the images,
//! decide, copy through the checked body, compare what the target says it stored, report.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::ready;
use futures_util::stream::{StreamExt, TryStreamExt};

use crate::digest::Hashers;
use crate::image::{Attributes, Image};
use crate::store::{ImageStore, StoreError};

mod checked;
mod compare;
mod copy;
mod error;
mod pace;
mod pair;
mod plan;

pub use checked::{DataFault, Expected, Verdict, checked};
pub use error::CopyError;
pub use pace::Pace;
pub use pair::{Pair, pairs};
pub use plan::{Difference, Step, differences, plan};

/// What to replicate, and how.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Fields and properties to leave out, of the copies and of the comparisons.
    pub without: BTreeSet<String>,
    /// Only bring the records of images up to date that the target holds already.
    pub metadata_only: bool,
    /// Images under way at once.
    pub transfers: usize,
    /// What computes the digests that prove the data on its way.
    pub hashers: Hashers,
    /// How fast data may pass, of all images together; without it, as fast as it can.
    pub pace: Option<Pace>,
    /// What the target accepts as data.
    pub content: ContentCheck,
}

/// What a target accepts as data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ContentCheck {
    /// Anything.
    #[default]
    Off,
    /// What Glance accepts. Data that it would refuse when all of it is there, after which the
    /// record can't be used any more, is refused before a record is made.
    Glance,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            without: BTreeSet::new(),
            metadata_only: false,
            transfers: 4,
            hashers: Hashers::default(),
            pace: None,
            content: ContentCheck::default(),
        }
    }
}

/// One store made to hold what another holds.
#[derive(Debug)]
pub struct Replication {
    /// Where images come from.
    pub source: Arc<dyn ImageStore>,
    /// Where they go.
    pub target: Arc<dyn ImageStore>,
    /// How.
    pub policy: Policy,
}

/// What became of one image.
#[derive(Debug)]
pub struct Outcome {
    /// The image, as the source describes it.
    pub image: Image,
    /// What was done.
    pub result: Result<Done, CopyError>,
}

/// What was done with one image, successfully.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// The data was copied and proven, in a new record.
    Copied,
    /// The data was copied and proven, in a record that an earlier run left without data.
    Completed,
    /// The record was brought up to date; the data was in place.
    Updated(Vec<String>),
    /// All was in place.
    InPlace,
    /// Nothing was done, for this reason.
    Skipped(String),
}

impl Replication {
    /// Replicates every image and hands each outcome to `observe` as it comes. A failed image does
    /// not end the run.
    ///
    /// # Errors
    /// When one of the stores can't be listed. If that happens in the middle, what was begun is
    /// brought to its end first.
    pub async fn run(&self, mut observe: impl FnMut(Outcome)) -> Result<(), StoreError> {
        let pairs = pairs(&*self.source, &*self.target).await?;
        let present = pairs.try_filter_map(|pair| ready(Ok(pair.at_source())));
        let work = present.map(|present| async {
            let (image, replica) = present?;
            Ok(self.replicate(image, replica).await)
        });
        let mut outcomes = work.buffer_unordered(self.policy.transfers.max(1));
        let mut listed = Ok(());
        while let Some(outcome) = outcomes.next().await {
            match outcome {
                Ok(outcome) => observe(outcome),
                Err(error) => listed = Err(error),
            }
        }
        listed
    }

    /// The bytes of data that [`run`](Self::run) would copy, as far as the source's records tell.
    /// Lists both stores, and changes nothing.
    ///
    /// # Errors
    /// When one of the stores can't be listed.
    pub async fn outstanding(&self) -> Result<u64, StoreError> {
        let mut pairs = pairs(&*self.source, &*self.target).await?;
        let mut bytes = 0_u64;
        while let Some(pair) = pairs.try_next().await? {
            let Some((image, replica)) = pair.at_source() else { continue };
            let step = plan(&image, replica.as_ref(), &self.policy);
            if matches!(step, Step::Copy | Step::Complete(_)) {
                bytes = bytes.saturating_add(image.size.unwrap_or(0));
            }
        }
        Ok(bytes)
    }

    async fn replicate(&self, image: Image, replica: Option<Image>) -> Outcome {
        let step = plan(&image, replica.as_ref(), &self.policy);
        tracing::debug!(image = %image.id, ?step, "planned");
        let result = match step {
            Step::Copy => self.copy(&image).await.map(|()| Done::Copied),
            Step::Complete(record) => {
                self.complete(&image, &record).await.map(|()| Done::Completed)
            }
            Step::Reconcile(replica) => self.reconcile(&image, &replica).await,
            Step::Skip(reason) => Ok(Done::Skipped(reason)),
            Step::Fail(error) => Err(error),
        };
        Outcome { image, result }
    }
}

/// `attributes` without the fields that the operator leaves out.
pub fn reduced(attributes: &Attributes, without: &BTreeSet<String>) -> Attributes {
    let mut reduced = attributes.clone();
    reduced.properties.retain(|key, _| !without.contains(key) && !key.starts_with("os_glance"));
    take_left_out(&mut reduced, &Attributes::default(), without);
    reduced
}

/// Makes the fields that the operator leaves out, and Glance's own properties, those of `from`.
fn take_left_out(attributes: &mut Attributes, from: &Attributes, without: &BTreeSet<String>) {
    macro_rules! take {
        ($($field:ident)*) => { $(
            if without.contains(stringify!($field)) {
                attributes.$field.clone_from(&from.$field);
            }
        )* };
    }
    take!(name owner visibility protected os_hidden min_disk min_ram tags);
    for (key, value) in &from.properties {
        if without.contains(key) || key.starts_with("os_glance") {
            attributes.properties.insert(key.clone(), value.clone());
        }
    }
}
