//! Writes images one after the other into a sink, such as a stream.

use std::mem::take;
use std::time::SystemTime;

use futures_util::stream::StreamExt;

use glance_core::digest::Digests;
use glance_core::image::{Attributes, Image, ImageId, Member, Status, Visibility};
use glance_core::store::{
    ByteRange, ImageSink, ImageStore, ImageStoreExt, StoreError, StoreErrorKind,
};
use glance_core::verified_body::{Expected, checked_timed};

use crate::error::CopyError;
use crate::events::{Event, Meter, Spent, watched};
use crate::loss::Loss;
use crate::mapping::NotWanted;
use crate::outcome::{Done, Outcome, Proven};
use crate::policy::Policy;
use crate::state::State;

/// Writes the images that `policy` selects to `sink`, one after the other, and passes each outcome
/// to `observe`. Only the selection, the mapping, the hashers, the bandwidth limits and the events of
/// `policy` are used.
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
    let mut run = Export {
        source,
        policy,
        sink,
        dependents: Vec::new(),
        losses: Vec::new(),
        started: SystemTime::now(),
        written: None,
        in_transit: Digests::new(),
        whole: true,
        listed: (0, 0),
        spent: Spent::default(),
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
        run.list(&image);
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
    run.report_listed(true);
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
    /// Number of images that were listed, and their bytes.
    listed: (u64, u64),
    /// What the image in work took.
    spent: Spent,
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
        self.policy.events.finished(0, &outcome, &take(&mut self.spent));
        outcome
    }

    fn list(&mut self, image: &Image) {
        self.listed.0 += 1;
        self.listed.1 = self.listed.1.saturating_add(image.size.unwrap_or(0));
        self.report_listed(false);
    }

    /// A stream lacks every image.
    fn report_listed(&self, done: bool) {
        let (images, bytes) = self.listed;
        let (missing, missing_bytes) = self.listed;
        let listed = Event::Listed { images, bytes, missing, missing_bytes, done };
        self.policy.events.send(&listed);
    }

    fn report_plan(&self, image: &Image) {
        let (action, bytes) = match image.status.has_data() {
            true => ("copy", image.size.unwrap_or(0)),
            false => ("record", 0),
        };
        let state = State::Missing;
        self.policy.events.send(&Event::Planned { target: 0, image, state, action, bytes });
    }

    /// Writes an image, or announces it if it refers to others.
    async fn image(&mut self, image: &Image) -> Result<Option<Ended>, StoreError> {
        self.started = SystemTime::now();
        let record = self.record(image).await;
        if record.is_ok() {
            self.report_plan(image);
        }
        let result = match record {
            Ok((record, members)) if !image.status.has_data() => {
                self.sink.put_record(&record, &members).await?;
                Ok(Done::Copied)
            }
            Ok((record, members)) if image.refers_to_others() => {
                self.sink.announce(&record, &members).await?;
                self.dependents.push(image.id.clone());
                return Ok(None);
            }
            Ok((record, members)) => self.copy(image, record, &members).await?,
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
                    let result = self.copy(&image, record, &members).await?;
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
    async fn copy(
        &mut self,
        image: &Image,
        record: Image,
        members: &[Member],
    ) -> Result<Ended, StoreError> {
        let events = &self.policy.events;
        events.send(&Event::Started { target: 0, image, attempt: 1 });
        let meter = Meter::each(events, image, &[0]).pop().unwrap_or_default();
        let written = watched(&meter, self.write(record, members, &meter)).await;
        meter.answered();
        meter.flush();
        self.spent = meter.spent();
        written
    }

    async fn write(
        &mut self,
        mut record: Image,
        members: &[Member],
        meter: &Meter,
    ) -> Result<Ended, StoreError> {
        let id = record.id.clone();
        let read = self.source.read(&id, ByteRange::ALL);
        let data = match meter.source().during(read).await {
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
        let bandwidth = self.policy.bandwidth.timed(&meter.bandwidth());
        let data = bandwidth.read(meter.arriving(0, data));
        let (expected, hashers) = (Expected::of(&record), self.policy.hashers);
        let (data, verdict) = checked_timed(data, expected, hashers, &meter.digests());
        let data = meter.sending(0, bandwidth.sent(0, data));
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
