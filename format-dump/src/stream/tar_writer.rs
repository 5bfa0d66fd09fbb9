//! Writes a dump as a tar stream.

use std::fmt;
use std::io;

use async_trait::async_trait;
use futures_util::StreamExt;
use glance_core::digest::{Algorithm, Digests, Hashers, Hashing};
use glance_core::error::BodyError;
use glance_core::image::{Image, ImageId, Member};
use glance_core::store::ImageSink;
use glance_core::verified_body::{DataVerdict, Expected};
use glance_core::{Body, StoreError};
use safe_files::record::StoredRecord;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::tar::{self, Entry};
use super::{Extras, failed};
use crate::files::{FAILED, RECORD};
use crate::manifest::{self, Manifest};
use crate::record::{Encoding, Stored};
use crate::{extras, sums};

/// Writes a dump as a tar stream. Memory use is 350 bytes of digests for each image, apart from the
/// data in transit.
pub struct TarWriter<W> {
    out: W,
    hashers: Hashers,
    manifest: Manifest,
    /// The digests of the files so far, for `SHA512SUMS` at the end.
    sums: String,
    time: u64,
}

impl<W: AsyncWrite + Send + Unpin> TarWriter<W> {
    /// Begins a stream on `out`. The content of `extras` comes first.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub async fn begin(out: W, hashers: Hashers, extras: &Extras) -> Result<Self, StoreError> {
        let now = jiff::Timestamp::now().as_second();
        let (sums, time) = (String::new(), now.try_into().unwrap_or_default());
        let mut writer = Self { out, hashers, manifest: Manifest::new(), sums, time };
        writer.head(extras).await.map_err(broken)?;
        Ok(writer)
    }

    /// Writes what stands in front of the images.
    async fn head(&mut self, extras: &Extras) -> io::Result<()> {
        self.file(manifest::FILE, &self.manifest.to_text()?).await?;
        let mut namespaces = Vec::new();
        for namespace in &extras.metadefs {
            let no_name = || io::Error::other("a namespace of metadata definitions has no name");
            let name = extras::metadef_path(namespace).ok_or_else(no_name)?;
            namespaces.push((name, serde_json::to_vec_pretty(namespace)?));
        }
        namespaces.sort();
        namespaces.dedup_by(|one, other| one.0 == other.0);
        for (name, text) in namespaces {
            self.file(&name, &text).await?;
            self.list(&name, &sums::of(&text, self.hashers)?);
        }
        if !extras.projects.is_empty() {
            let text = serde_json::to_vec_pretty(&extras.projects)?;
            self.file(extras::PROJECTS, &text).await?;
            self.list(extras::PROJECTS, &sums::of(&text, self.hashers)?);
        }
        Ok(())
    }

    /// Writes a record. Only the `last` record of an image is listed in `SHA512SUMS`.
    async fn record(&mut self, record: &StoredRecord<Stored>, last: bool) -> io::Result<()> {
        let (name, text) = (format!("{}{RECORD}", record.image.id), record.to_text());
        self.file(&name, text.as_bytes()).await?;
        if last {
            let digest = sums::of(text.as_bytes(), self.hashers)?;
            self.list(&name, &digest);
        }
        Ok(())
    }

    /// Writes an image with its `data`; `verdict` is the result of verifying that data.
    async fn image(
        &mut self,
        mut record: StoredRecord<Stored>,
        data: Body,
        verdict: &DataVerdict,
    ) -> io::Result<Result<(), BodyError>> {
        let size = record.image.size.unwrap_or_default();
        let digest = Expected::of(&record.image).digest;
        self.record(&record, false).await?;
        // `checked` computes SHA-512 itself if no digest of another algorithm verifies the data.
        let on_the_way = digest.as_ref().is_none_or(|(it, _)| *it == Algorithm::Sha512);
        let hashing = self.hashers.start((!on_the_way).then_some(Algorithm::Sha512));
        let blob = format!("{}{}", record.image.id, Encoding::Identity.suffix());
        let digests = match self.data(&blob, data, size, hashing).await? {
            Ok(digests) => digests,
            Err(error) => return Ok(Err(error)),
        };
        let digests = if on_the_way { verdict.digests() } else { Some(&digests) };
        let sha512 = digests.and_then(|digests| digests.get(&Algorithm::Sha512)).cloned();
        let sha512 = sha512.ok_or_else(sums::not_offered)?;
        self.list(&blob, &sha512);
        if digest.is_none() {
            record.image.os_hash_algo = Some(Algorithm::Sha512.to_string());
            record.image.os_hash_value = Some(sha512);
            self.record(&record, true).await?;
        } else {
            let digest = sums::of(record.to_text().as_bytes(), self.hashers)?;
            self.list(&format!("{}{RECORD}", record.image.id), &digest);
        }
        Ok(Ok(()))
    }

    /// Writes exactly `size` bytes, padding with zeros if `data` fails; returns the digests if
    /// `data` was complete.
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
                Some(Ok(_)) => break Some("the source sent more data than announced".into()),
                Some(Err(error)) => break Some(error),
                None if left > 0 => break Some("the source sent less data than announced".into()),
                None => break None,
            }
        };
        // An entry must be as long as its header says.
        tokio::io::copy(&mut tokio::io::repeat(0).take(left), &mut self.out).await?;
        self.pad(size).await?;
        match failure {
            Some(error) => Ok(Err(error)),
            None => Ok(Ok(hashing.finish().await.map_err(io::Error::other)?)),
        }
    }

    async fn tail(&mut self, complete: bool) -> io::Result<()> {
        let mut lines: Vec<&str> = self.sums.split_inclusive('\n').collect();
        lines.sort_unstable_by_key(|line| sums::parse(line).map(|(name, _)| name));
        let text = lines.concat();
        self.file(sums::FILE, text.as_bytes()).await?;
        let digest = sums::of(text.as_bytes(), self.hashers)?;
        let manifest = self.manifest.clone().ended(complete, digest);
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

#[async_trait]
impl<W: AsyncWrite + Send + Unpin> ImageSink for TarWriter<W> {
    async fn put_record(&mut self, image: &Image, members: &[Member]) -> Result<(), StoreError> {
        self.record(&record(image, members), true).await.map_err(broken)
    }

    async fn announce(&mut self, image: &Image, members: &[Member]) -> Result<(), StoreError> {
        self.record(&record(image, members), false).await.map_err(broken)
    }

    async fn put_image(
        &mut self,
        image: &Image,
        members: &[Member],
        data: Body,
        verdict: &DataVerdict,
    ) -> Result<Result<(), BodyError>, StoreError> {
        self.image(record(image, members), data, verdict).await.map_err(broken)
    }

    async fn put_missing(&mut self, id: &ImageId, reason: &str) -> Result<(), StoreError> {
        self.file(&format!("{id}{FAILED}"), reason.as_bytes()).await.map_err(broken)
    }

    async fn finish(&mut self, complete: bool) -> Result<(), StoreError> {
        self.tail(complete).await.map_err(broken)
    }
}

impl<W> fmt::Debug for TarWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TarWriter").field("manifest", &self.manifest).finish_non_exhaustive()
    }
}

fn record(image: &Image, members: &[Member]) -> StoredRecord<Stored> {
    let members = members.to_vec();
    StoredRecord { image: image.clone(), members, data: None, expected: None }
}

fn broken(error: io::Error) -> StoreError {
    failed("write the dump", error)
}
