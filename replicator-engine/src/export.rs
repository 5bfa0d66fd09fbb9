//! Writes images one after the other into a sink, such as a stream.

use std::mem::take;
use std::time::SystemTime;

use futures_util::stream::StreamExt;

use glance_core::digest::Digests;
use glance_core::image::{Attributes, Image, ImageId, Member, Status, Visibility};
use glance_core::store::{
    ByteRange, ImageSink, ImageStore, ImageStoreExt, StoreError, StoreErrorKind,
};
use glance_core::verified_body::{Expected, checked};

use crate::error::CopyError;
use crate::loss::Loss;
use crate::mapping::NotWanted;
use crate::outcome::{Done, Outcome, Proven};
use crate::policy::Policy;

/// Writes the images that `policy` selects to `sink`, one after the other, and passes each outcome
/// to `observe`. Only the selection, the mapping, the hashers and the bandwidth limits of `policy`
/// are used.
///
/// A failed image does not end the run: the sink marks the image as missing, and itself as
/// incomplete.
///
/// # Errors
/// If the source cannot be listed, or `sink` fails. The sink is then not finished.
pub async fn export(
    source: &dyn ImageStore,
    policy: &Policy,
    sink: &mut dyn ImageSink,
    mut observe: impl FnMut(Outcome),
) -> Result<(), StoreError> {
    let (dependents, losses) = (Vec::new(), Vec::new());
    let mut run = Export {
        source,
        policy,
        sink,
        dependents,
        losses,
        started: SystemTime::now(),
        written: None,
        in_transit: Digests::new(),
        whole: true,
    };
    let mut images = source.list(&policy.selection).await?;
    let mut last: Option<ImageId> = None;
    while let Some(item) = images.next().await {
        let (image, unreadable) = match item {
            Ok(image) => (image, None),
            Err(error) => match error.record.clone() {
                Some(read) => (*read, Some(Err(CopyError::Source(error)))),
                None => return Err(error),
            },
        };
        if last.is_some_and(|last| last > image.id) {
            let reason = "the store does not list its images in the order of their ids";
            let error =
                StoreError::new(StoreErrorKind::Invalid, &source, "list the images", reason);
            return Err(error.hint("dump the images into a directory"));
        }
        last = Some(image.id.clone());
        let result = match unreadable {
            None => run.image(&image).await?,
            Some(result) => {
                run.note(&image.id, &result).await?;
                Some(result)
            }
        };
        if let Some(result) = result {
            observe(run.outcome(image, result));
        }
    }
    drop(images);
    for id in take(&mut run.dependents) {
        let (image, result) = run.dependent(id).await?;
        observe(run.outcome(image, result));
    }
    run.sink.finish(run.whole).await
}

/// An export in progress. The outer `Result`s are failures of the sink, the inner ones those of an
/// image.
struct Export<'a> {
    source: &'a dyn ImageStore,
    policy: &'a Policy,
    sink: &'a mut dyn ImageSink,
    /// Images that refer to others. Their data is written at the end, because loading them requires
    /// the others.
    dependents: Vec<ImageId>,
    /// How the image processed last will differ from the source.
    losses: Vec<Loss>,
    /// When the work on the image processed last began.
    started: SystemTime,
    /// The number of bytes of the image written last.
    written: Option<u64>,
    /// The digests of the image written last.
    in_transit: Digests,
    /// Whether no image has failed.
    whole: bool,
}

/// The outcome of one image.
type Ended = Result<Done, CopyError>;

impl Export<'_> {
    fn outcome(&mut self, image: Image, result: Ended) -> Outcome {
        let mut outcome = Outcome::of(image, result).with_losses(take(&mut self.losses));
        outcome.started = self.started;
        outcome.journey.bytes = self.written.take();
        outcome.journey.in_transit = take(&mut self.in_transit);
        outcome.journey.proven = match (&outcome.result, outcome.image.status.has_data()) {
            (Ok(Done::Copied), true) => Some(Proven::on_the_way(&outcome.image)),
            (Ok(Done::Copied), false) => Some(Proven::Record),
            _ => None,
        };
        outcome
    }

    /// Writes an image, or announces it if it refers to others.
    async fn image(&mut self, image: &Image) -> Result<Option<Ended>, StoreError> {
        self.started = SystemTime::now();
        let result = match self.record(image).await {
            Ok((record, members)) if !image.status.has_data() => {
                self.sink.put_record(&record, &members).await?;
                Ok(Done::Copied)
            }
            Ok((record, members)) if image.refers_to_others() => {
                self.sink.announce(&record, &members).await?;
                self.dependents.push(image.id.clone());
                return Ok(None);
            }
            Ok((record, members)) => self.copy(record, &members).await?,
            Err(done) => done,
        };
        self.note(&image.id, &result).await?;
        Ok(Some(result))
    }

    /// Writes an image that was announced.
    async fn dependent(&mut self, id: ImageId) -> Result<(Image, Ended), StoreError> {
        self.started = SystemTime::now();
        let (image, result) = match self.source.get(&id).await {
            Err(error) => {
                let image = Image::queued(id, Attributes::default());
                (image, Err(CopyError::Source(error)))
            }
            Ok(image) => match self.record(&image).await {
                Ok((record, members)) => {
                    let result = self.copy(record, &members).await?;
                    (image, result)
                }
                Err(done) => (image, done),
            },
        };
        self.note(&image.id, &result).await?;
        Ok((image, result))
    }

    /// Marks a failed image as missing.
    async fn note(&mut self, id: &ImageId, result: &Ended) -> Result<(), StoreError> {
        match result {
            Ok(_) => Ok(()),
            Err(error) => {
                self.whole = false;
                self.sink.put_missing(id, &causes(error)).await
            }
        }
    }

    /// The record to write for an image and its members, or the reason to leave the image out.
    async fn record(&mut self, image: &Image) -> Result<(Image, Vec<Member>), Ended> {
        let policy = self.policy;
        self.losses.clear();
        let queued = policy.queued && image.status == Status::Queued;
        if !image.status.has_data() && !queued {
            let reason = format!("the image has no data at the source (status {})", image.status);
            return Err(Ok(Done::Skipped(reason)));
        }
        let wanted = policy.mapping.wanted(image).await.map_err(|refused| match refused {
            NotWanted::Skipped(reason) => Ok(Done::Skipped(reason)),
            NotWanted::Blocked { reason, hint } => {
                Err(CopyError::Blocked { reason, hint: Some(hint) })
            }
            NotWanted::Unknown(error) => Err(CopyError::Unresolved(error)),
        })?;
        if let Some((algorithm, _)) = Expected::of(image).digest {
            if !policy.hashers.offers(algorithm) {
                return Err(Err(CopyError::Unverifiable { algorithm }));
            }
        }
        let members = match image.attributes.visibility {
            Visibility::Shared => self.members(image).await.map_err(Err)?,
            _ => Vec::new(),
        };
        Ok((Image { attributes: wanted.attributes, ..image.clone() }, members))
    }

    /// The members of an image; empty if the source does not show them to this user.
    async fn members(&mut self, image: &Image) -> Result<Vec<Member>, CopyError> {
        let shown = self.source.members_if_shown(&image.id).await.map_err(CopyError::Source)?;
        let Some(members) = shown else {
            self.losses.push(Loss::members("the source does not show the members"));
            return Ok(Vec::new());
        };
        let mapped = self.policy.mapping.members(&members).await.map_err(CopyError::Unresolved)?;
        let lost = |member: &String| Loss::members(format!("member left out: {member}"));
        self.losses.extend(mapped.unresolved.iter().map(lost));
        Ok(mapped.members)
    }

    /// Writes an image with its data.
    async fn copy(&mut self, mut record: Image, members: &[Member]) -> Result<Ended, StoreError> {
        let id = record.id.clone();
        let data = match self.source.read(&id, ByteRange::ALL).await {
            Ok(data) => data,
            Err(error) => return Ok(Err(CopyError::Source(error))),
        };
        let failed =
            |kind, reason| StoreError::new(kind, &self.source, "read the data", reason).on(&id);
        let Some(size) = record.size.or(data.size()) else {
            let reason =
                "the size of the data is unknown, and a stream states the size before the data";
            let error = failed(StoreErrorKind::Unreadable, reason);
            return Ok(Err(CopyError::Source(error.hint("dump the image into a directory"))));
        };
        record.size = Some(size);
        let data = self.policy.bandwidth.read(data);
        let (data, verdict) = checked(data, Expected::of(&record), self.policy.hashers);
        let data = self.policy.bandwidth.sent(0, data);
        match self.sink.put_image(&record, members, data, &verdict).await? {
            Ok(()) => {
                self.written = Some(size);
                self.in_transit = verdict.digests().cloned().unwrap_or_default();
                Ok(Ok(Done::Copied))
            }
            Err(error) => {
                let source_store = self.source.to_string();
                let of_data = verdict.fault().map(|fault| CopyError::Data { source_store, fault });
                let other = || failed(StoreErrorKind::Server, "the read failed").caused_by(error);
                Ok(Err(of_data.unwrap_or_else(|| CopyError::Source(other()))))
            }
        }
    }
}

/// The error and its causes, one per line.
fn causes(error: &CopyError) -> String {
    glance_core::error::causes(error).map(ToString::to_string).collect::<Vec<_>>().join("\n") + "\n"
}
