//! Writing a stream.

use std::io;

use futures_util::{StreamExt, TryStreamExt};
use glance_core::body::BodyError;
use glance_core::digest::{Algorithm, Digests, Hashers, Hashing};
use glance_core::image::{Image, ImageId, Member, Visibility};
use glance_core::replicate::{
    CopyError, Done, Expected, Outcome, Policy, Step, checked, pairs, plan, reduced,
};
use glance_core::store::memory::MemoryStore;
use glance_core::store::{ByteRange, StoreErrorKind};
use glance_core::{Body, ImageStore, StoreError};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::tar::{self, Entry};
use super::{Beside, NAME, failed};
use crate::directory::{FAILED, RECORD};
use crate::manifest::{self, Manifest};
use crate::record::{Encoding, Record};
use crate::{beside, sums};

/// Writes every image of `source` that has data to `out`, one after the other, and hands each outcome
/// to `observe` as it comes. Of `policy`, what is left out, the digests' library and the pace count.
/// What stands `beside` the images comes first.
///
/// A failed image does not end the run: the stream says that it is not there, and never that it is
/// complete. Memory holds 350 bytes of digests for each image, beside the data on its way.
///
/// # Errors
/// When the source can't be listed, or nothing can be written to `out`. Then the stream is cut, and
/// its reader sees that.
pub async fn export(
    source: &dyn ImageStore,
    policy: &Policy,
    beside: &Beside,
    out: impl AsyncWrite + Send + Unpin,
    mut observe: impl FnMut(Outcome),
) -> Result<(), StoreError> {
    let mut archive = Archive::new(out, policy.hashers);
    let manifest = Manifest::new();
    archive.begin(&manifest, beside).await.map_err(broken)?;
    let mut whole = true;
    // With nothing to pair, this is the listing, in order even where the source's is not.
    let nothing = MemoryStore::new(NAME);
    let mut listing = pairs(source, &nothing).await?;
    while let Some(pair) = listing.try_next().await? {
        let Some((image, _)) = pair.at_source() else { continue };
        let result = match plan(&image, None, policy) {
            Step::Skip(reason) => Ok(Done::Skipped(reason)),
            Step::Fail(error) => Err(error),
            _ => match open(source, &image, policy).await {
                Ok(opened) => archive.image(source, opened, policy).await.map_err(broken)?,
                Err(error) => Err(error),
            }
            .map(|()| Done::Copied),
        };
        if let Err(error) = &result {
            whole = false;
            archive.failed(&image.id, error).await.map_err(broken)?;
        }
        observe(Outcome { image, result });
    }
    archive.finish(manifest, whole).await.map_err(broken)
}

/// An image whose data has begun to come.
struct Opened {
    record: Record,
    expected: Expected,
    data: Body,
    size: u64,
}

async fn open(
    source: &dyn ImageStore,
    image: &Image,
    policy: &Policy,
) -> Result<Opened, CopyError> {
    let members: Vec<Member> = match image.attributes.visibility {
        Visibility::Shared => source.members(&image.id).await.map_err(CopyError::Source)?,
        _ => Vec::new(),
    };
    let data = source.read(&image.id, ByteRange::ALL).await.map_err(CopyError::Source)?;
    let size = image.size.or(data.size()).ok_or_else(|| {
        let reason = "nobody says how long it is, and a stream must say so first";
        let error = StoreError::new(StoreErrorKind::Unreadable, &source, "read the data", reason);
        let error = error.on(&image.id);
        CopyError::Source(error.hint("dump it into a directory"))
    })?;
    let attributes = reduced(&image.attributes, &policy.without);
    let image = Image { attributes, size: Some(size), ..image.clone() };
    let expected = Expected::of(&image);
    Ok(Opened { record: Record { image, members, data: None }, expected, data, size })
}

/// A stream under way.
struct Archive<W> {
    out: W,
    hashers: Hashers,
    /// Of the files so far; `SHA512SUMS` comes last.
    sums: String,
    time: u64,
}

impl<W: AsyncWrite + Unpin> Archive<W> {
    fn new(out: W, hashers: Hashers) -> Self {
        let now = jiff::Timestamp::now().as_second();
        Self { out, hashers, sums: String::new(), time: now.try_into().unwrap_or_default() }
    }

    async fn begin(&mut self, manifest: &Manifest, beside: &Beside) -> io::Result<()> {
        self.file(manifest::FILE, &manifest.to_text()?).await?;
        let mut namespaces = Vec::new();
        for namespace in &beside.metadefs {
            let no_name = || io::Error::other("a namespace of metadata definitions has no name");
            let name = beside::metadef_file(namespace).ok_or_else(no_name)?;
            namespaces.push((name, serde_json::to_vec_pretty(namespace)?));
        }
        namespaces.sort();
        namespaces.dedup_by(|one, other| one.0 == other.0);
        for (name, text) in namespaces {
            self.file(&name, &text).await?;
            self.list(&name, &sums::of(&text, self.hashers)?);
        }
        if !beside.projects.is_empty() {
            let text = serde_json::to_vec_pretty(&beside.projects)?;
            self.file(beside::PROJECTS, &text).await?;
            self.list(beside::PROJECTS, &sums::of(&text, self.hashers)?);
        }
        Ok(())
    }

    /// Writes one image. The outer failure is the stream's, the inner one the image's.
    async fn image(
        &mut self,
        source: &dyn ImageStore,
        opened: Opened,
        policy: &Policy,
    ) -> io::Result<Result<(), CopyError>> {
        let Opened { mut record, expected, data, size } = opened;
        let id = record.image.id.clone();
        let (name, text) = (format!("{id}{RECORD}"), record.to_text());
        self.file(&name, text.as_bytes()).await?;
        let had_digest = expected.digest.is_some();
        // The check computes it itself where no other digest proves the data.
        let on_the_way = expected.digest.as_ref().is_none_or(|(it, _)| *it == Algorithm::Sha512);
        let hashing = self.hashers.start((!on_the_way).then_some(Algorithm::Sha512));
        let (data, verdict) = checked(data, expected, self.hashers);
        let data = match &policy.pace {
            Some(pace) => pace.keep(data),
            None => data,
        };
        let blob = format!("{id}{}", Encoding::Identity.suffix());
        let digests = match self.data(&blob, data, size, hashing).await? {
            Ok(digests) => digests,
            Err(error) => {
                let store = source.to_string();
                return Ok(Err(match verdict.fault() {
                    Some(fault) => CopyError::Data { source_store: store, fault },
                    None => CopyError::Source(
                        StoreError::new(
                            StoreErrorKind::Server,
                            &store,
                            "read the data",
                            "it failed",
                        )
                        .on(&id)
                        .caused_by(error),
                    ),
                }));
            }
        };
        let digests = if on_the_way { verdict.digests() } else { Some(&digests) };
        let sha512 = digests.and_then(|digests| digests.get(&Algorithm::Sha512)).cloned();
        let sha512 = sha512.ok_or_else(sums::not_offered)?;
        self.list(&blob, &sha512);
        if !had_digest {
            record.image.os_hash_algo = Some(Algorithm::Sha512.to_string());
            record.image.os_hash_value = Some(sha512);
            self.file(&name, record.to_text().as_bytes()).await?;
        }
        let digest = sums::of(record.to_text().as_bytes(), self.hashers)?;
        self.list(&name, &digest);
        Ok(Ok(()))
    }

    /// Writes `size` bytes, whatever comes of `data`, and ends the `hashing` if all of it came.
    async fn data(
        &mut self,
        name: &str,
        mut data: Body,
        size: u64,
        mut hashing: Hashing,
    ) -> io::Result<Result<Digests, BodyError>> {
        self.header(name, size).await?;
        let mut left = size;
        let failure = loop {
            match data.next().await {
                Some(Ok(chunk)) if chunk.len() as u64 <= left => {
                    hashing.update(&chunk).await;
                    self.out.write_all(&chunk).await?;
                    left -= chunk.len() as u64;
                }
                Some(Ok(_)) => break Some("more came than the source had said".into()),
                Some(Err(error)) => break Some(error),
                None if left > 0 => break Some("less came than the source had said".into()),
                None => break None,
            }
        };
        // An entry is as long as its header says.
        tokio::io::copy(&mut tokio::io::repeat(0).take(left), &mut self.out).await?;
        self.pad(size).await?;
        match failure {
            Some(error) => Ok(Err(error)),
            None => Ok(Ok(hashing.finish().await.map_err(io::Error::other)?)),
        }
    }

    /// Says that an image is not in the stream, whatever came of it.
    async fn failed(&mut self, id: &ImageId, error: &CopyError) -> io::Result<()> {
        let mut text = format!("{error}\n");
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            text.push_str(&format!("{error}\n"));
            cause = error.source();
        }
        self.file(&format!("{id}{FAILED}"), text.as_bytes()).await
    }

    async fn finish(mut self, manifest: Manifest, whole: bool) -> io::Result<()> {
        let mut lines: Vec<&str> = self.sums.split_inclusive('\n').collect();
        lines.sort_unstable_by_key(|line| sums::parse(line).map(|(name, _)| name));
        let text = lines.concat();
        self.file(sums::FILE, text.as_bytes()).await?;
        let manifest = manifest.ended(whole, sums::of(text.as_bytes(), self.hashers)?);
        self.file(manifest::FILE, &manifest.to_text()?).await?;
        self.out.write_all(&tar::END).await?;
        self.out.flush().await?;
        self.out.shutdown().await
    }

    fn list(&mut self, name: &str, digest: &str) {
        self.sums.push_str(&sums::line(name, digest));
    }

    async fn file(&mut self, name: &str, text: &[u8]) -> io::Result<()> {
        self.header(name, text.len() as u64).await?;
        self.out.write_all(text).await?;
        self.pad(text.len() as u64).await
    }

    async fn header(&mut self, name: &str, size: u64) -> io::Result<()> {
        let entry = Entry { name: name.to_owned(), size };
        self.out.write_all(&tar::header(&entry, self.time)?).await
    }

    async fn pad(&mut self, size: u64) -> io::Result<()> {
        self.out.write_all(&tar::END[..tar::padding(size)]).await
    }
}

fn broken(error: io::Error) -> StoreError {
    failed("write it", error)
}
