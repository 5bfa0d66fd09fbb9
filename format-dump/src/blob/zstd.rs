//! Data compressed by zstd in independent frames of a few MiB, so that a range can be read without
//! decompressing everything before it.
//!
//! A seek table as in zstd's `contrib/seekable_format` follows the frames, in a skippable frame
//! that every decoder ignores. Files without a seek table, as written by `zstd`, are read from the
//! beginning.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use glance_core::Body;
use glance_core::digest::worker::ChunkWorker;
use glance_core::digest::{Algorithm, Hasher, Hashers, hex};
use glance_core::error::BodyError;
use glance_core::verified_body::DataFault;
use safe_files::data::{CHUNK, WrittenFile};
use safe_files::dir::blocking;
use zstd::bulk::Compressor;
use zstd::stream::raw::CParameter;
use zstd::stream::read::Decoder;

/// Starts a thread that compresses data into a new file. The thread holds `guard`.
pub(crate) fn compressing(
    file: Arc<File>,
    hashers: Hashers,
    guard: impl Send + 'static,
) -> io::Result<ChunkWorker<io::Result<WrittenFile>>> {
    let mut frames = Frames::new(file, hashers)?;
    Ok(ChunkWorker::start(move |chunks| {
        let _guard = guard;
        for chunk in chunks {
            frames.write(&chunk)?;
        }
        frames.finish()
    }))
}

/// Writes a new compressed file.
struct Frames {
    file: Arc<File>,
    compressor: Compressor<'static>,
    hasher: Option<Box<dyn Hasher>>,
    /// Data waiting to fill a frame.
    plain: Vec<u8>,
    table: Vec<u8>,
    count: u32,
    stored: u64,
}

impl Frames {
    fn new(file: Arc<File>, hashers: Hashers) -> io::Result<Self> {
        let mut compressor = Compressor::new(LEVEL)?;
        // Lets a decoder detect a damaged frame at its end.
        compressor.set_parameter(CParameter::ChecksumFlag(true))?;
        Ok(Self {
            file,
            compressor,
            hasher: hashers.begin(Algorithm::Sha512),
            plain: Vec::with_capacity(FRAME),
            table: Vec::new(),
            count: 0,
            stored: 0,
        })
    }

    fn write(&mut self, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            let (now, later) = data.split_at(data.len().min(FRAME - self.plain.len()));
            self.plain.extend_from_slice(now);
            if self.plain.len() == FRAME {
                self.end_frame()?;
            }
            data = later;
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<WrittenFile> {
        if !self.plain.is_empty() || self.count == 0 {
            self.end_frame()?;
        }
        let mut table = std::mem::take(&mut self.table);
        let mut end = [0; FOOTER];
        end[..4].copy_from_slice(&self.count.to_le_bytes());
        end[5..].copy_from_slice(&SEEKABLE.to_le_bytes());
        table.extend_from_slice(&end);
        self.put(&SKIPPABLE.to_le_bytes())?;
        self.put(&length(&table)?.to_le_bytes())?;
        self.put(&table)?;
        let sha512 = self.hasher.map(Hasher::finish).transpose().map_err(io::Error::other)?;
        let sha512 = sha512.map(|digest| hex(&digest));
        Ok(WrittenFile { stored: self.stored, sha512 })
    }

    fn end_frame(&mut self) -> io::Result<()> {
        let frame = self.compressor.compress(&self.plain)?;
        self.table.extend_from_slice(&length(&frame)?.to_le_bytes());
        self.table.extend_from_slice(&length(&self.plain)?.to_le_bytes());
        self.count += 1;
        self.plain.clear();
        self.put(&frame)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes).map_err(io::Error::other)?;
        }
        self.stored += bytes.len() as u64;
        (&*self.file).write_all(bytes)
    }
}

/// Converts a length to the 32 bits of the format.
fn length(bytes: &[u8]) -> io::Result<u32> {
    u32::try_from(bytes.len()).map_err(io::Error::other)
}

/// Streams `length` uncompressed bytes, starting at `offset`, of the compressed file `name`, whose
/// uncompressed size is `size`.
pub(super) fn plain(file: File, name: &str, size: u64, offset: u64, length: u64) -> Body {
    let name = name.to_owned();
    let reading = Reading { file: Some(file), decoder: None, size, offset, left: length, name };
    let chunks = stream::try_unfold(reading, |mut reading| async move {
        let read = blocking(move || {
            // Decode an empty image as well, to check it.
            let done = reading.left == 0 && reading.decoder.is_some();
            let chunk = if done { None } else { Some(reading.next()) };
            Ok(chunk.map(|chunk| chunk.map(|chunk| (chunk, reading))))
        });
        read.await?.transpose()
    });
    Body::from_stream(chunks, Some(length))
}

/// A stream of decompressed bytes.
struct Reading {
    file: Option<File>,
    decoder: Option<Decoder<'static, BufReader<File>>>,
    size: u64,
    offset: u64,
    left: u64,
    name: String,
}

impl Reading {
    /// The next chunk. An error of the decoder counts as damage, which another attempt would find
    /// again.
    fn next(&mut self) -> Result<Bytes, BodyError> {
        self.read().map_err(|error| {
            let (got, reason) = (self.offset, format!("{} is damaged: {error}", self.name));
            DataFault::Damaged { got, reason }.into()
        })
    }

    fn read(&mut self) -> io::Result<Bytes> {
        if let Some(file) = self.file.take() {
            self.decoder = Some(decoder(file, self.size, self.offset)?);
        }
        let Some(decoder) = &mut self.decoder else { return Err(io::ErrorKind::NotFound.into()) };
        let mut chunk = Vec::with_capacity(CHUNK);
        decoder.take(self.left.min(CHUNK as u64)).read_to_end(&mut chunk)?;
        if chunk.is_empty() && self.left > 0 {
            return Err(io::Error::other(format!("{} bytes are missing", self.left)));
        }
        self.left -= chunk.len() as u64;
        self.offset += chunk.len() as u64;
        // Reading past the last byte verifies the checksum of the last frame.
        if self.offset == self.size && decoder.read(&mut [0])? > 0 {
            return Err(io::Error::other(format!("the file holds more than {} bytes", self.size)));
        }
        Ok(chunk.into())
    }
}

/// Creates a decoder of `file`, for the uncompressed bytes from `offset` on.
fn decoder(
    mut file: File,
    size: u64,
    offset: u64,
) -> io::Result<Decoder<'static, BufReader<File>>> {
    let (at, begins) = match offset {
        0 => (0, 0),
        _ => frame_of(&mut file, size, offset)?.unwrap_or_default(),
    };
    file.seek(SeekFrom::Start(at))?;
    let mut decoder = Decoder::with_buffer(BufReader::with_capacity(CHUNK, file))?;
    decoder.window_log_max(WINDOW_LOG)?;
    io::copy(&mut (&mut decoder).take(offset - begins), &mut io::sink())?;
    Ok(decoder)
}

/// The start of the frame that contains the uncompressed byte `offset`: its position in the file
/// and in the uncompressed data. `None` if the file has no matching seek table.
fn frame_of(file: &mut File, size: u64, offset: u64) -> io::Result<Option<(u64, u64)>> {
    let end = file.seek(SeekFrom::End(0))?;
    let Some(at) = end.checked_sub(FOOTER as u64) else { return Ok(None) };
    file.seek(SeekFrom::Start(at))?;
    let mut footer = [0; FOOTER];
    file.read_exact(&mut footer)?;
    let frames = u64::from(number(&footer[..4]));
    if frames > MOST_FRAMES {
        return Ok(None);
    }
    // A descriptor of 0 means that the table has no checksums; the frames have them.
    if footer[4] != 0 || number(&footer[5..]) != SEEKABLE {
        return Ok(None);
    }
    let Some(table) = at.checked_sub(frames * ENTRY as u64) else { return Ok(None) };
    file.seek(SeekFrom::Start(table))?;
    let mut table_of = BufReader::new(&mut *file);
    let (mut compressed, mut plain, mut found) = (0_u64, 0_u64, None);
    for _ in 0..frames {
        let mut entry = [0; ENTRY];
        table_of.read_exact(&mut entry)?;
        let begins = (compressed, plain);
        compressed += u64::from(number(&entry[..4]));
        plain += u64::from(number(&entry[4..]));
        if found.is_none() && plain > offset {
            found = Some(begins);
        }
    }
    let fits = compressed + HEAD == table && plain == size;
    Ok(found.filter(|_| fits))
}

/// Decodes a little-endian number of four bytes.
fn number(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

/// zstd's default: faster than a disk, at most of the possible compression.
const LEVEL: i32 = 3;
/// Uncompressed bytes per frame: the cost of a small range, and the memory of an upload.
const FRAME: usize = 2 << 20;
/// The maximum number of seek table entries, enough for 8 TiB.
const MOST_FRAMES: u64 = 4 << 20;
/// The limit on a decoder's window, as a power of two: 8 MiB, as needed for `zstd -19`.
const WINDOW_LOG: u32 = 23;

/// Magic numbers and field lengths of the seekable format.
const SKIPPABLE: u32 = 0x184D_2A5E;
const SEEKABLE: u32 = 0x8F92_EAB1;
const HEAD: u64 = 8;
const ENTRY: usize = 8;
const FOOTER: usize = 9;
