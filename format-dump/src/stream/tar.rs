//! The tar format of POSIX.1-2001 (`pax`), limited to a stream of files: output that every `tar`
//! can read, and input with all sizes bounded.
//!
//! The existing tar crates need whole entries or read synchronously. A stream of images must be
//! able to end an entry whose data failed, and to pass data on while it arrives.

use std::io::{self, ErrorKind};

use tokio::io::{AsyncRead, AsyncReadExt};

/// A file in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    /// The size in bytes.
    pub(super) size: u64,
}

/// The header of a file. `time` is its modification time in seconds since 1970.
pub(super) fn header(entry: &Entry, time: u64) -> io::Result<Vec<u8>> {
    let Entry { name, size } = entry;
    let mut extended = Vec::new();
    if name.len() > NAME {
        extended.extend(record("path", name));
    }
    if *size > MOST {
        extended.extend(record("size", &size.to_string()));
    }
    let mut header = Vec::with_capacity(BLOCK);
    if !extended.is_empty() {
        let length = extended.len() as u64;
        header.extend(block("PaxHeaders/entry", length, time, b'x')?);
        header.extend(extended);
        header.resize(header.len() + padding(length), 0);
    }
    // The name in the extended header takes precedence.
    let short = name.get(..NAME).or_else(|| (name.len() <= NAME).then_some(name.as_str()));
    let short = short.unwrap_or("entry");
    header.extend(block(short, if *size > MOST { 0 } else { *size }, time, b'0')?);
    Ok(header)
}

/// The number of zeros that fill the last block of a file of `size` bytes.
pub(super) fn padding(size: u64) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "less than a block")]
    let used = (size % BLOCK as u64) as usize;
    (BLOCK - used) % BLOCK
}

/// The end of an archive.
pub(super) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// Reads up to the next file, skipping other entries. `None` at the end of the archive.
///
/// # Errors
/// `UnexpectedEof` if the input ends before the archive does; `InvalidData` if it is not a tar
/// archive.
pub(super) async fn next(input: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Entry>> {
    let (mut path, mut length) = (None, None);
    loop {
        let Some(block) = read_block(input).await? else { return Ok(None) };
        let size = number(&block[124..136])?;
        match block[156] {
            b'0' | 0 => {
                let name = match path {
                    Some(name) => name,
                    None => name_of(&block)?,
                };
                let name = name.strip_prefix("./").unwrap_or(&name).to_owned();
                return Ok(Some(Entry { name, size: length.unwrap_or(size) }));
            }
            b'x' | b'g' if size > LONGEST => {
                let most = LONGEST >> 10;
                let reason = format!("an extended header has {size} bytes, more than {most} KiB");
                return Err(invalid(reason));
            }
            b'x' => {
                let (named, sized) = extended(&read_short(input, size).await?)?;
                path = named.or(path);
                length = sized.or(length);
            }
            // A directory, or a global extended header.
            b'5' | b'g' if size <= LONGEST => drop(read_short(input, size).await?),
            other => return Err(invalid(refusal(&name_of(&block)?, other))),
        }
    }
}

/// The error message for an unsupported type of entry.
fn refusal(name: &str, kind: u8) -> String {
    let known = match kind {
        b'S' => return HOLES.to_owned(),
        b'1' => "a hard link",
        b'2' => "a symbolic link",
        b'3' => "a character device",
        b'4' => "a block device",
        b'5' => "a directory with data",
        b'6' => "a named pipe",
        b'K' | b'L' => "a long name in the old GNU format",
        b'M' => "the continuation of another archive",
        b'V' => "the label of a volume",
        letter if letter.is_ascii_graphic() => {
            return format!("{name} is an entry of the type {}: {EXTRACT}", char::from(letter));
        }
        code => return format!("{name} is an entry of the type {code:#04x}: {EXTRACT}"),
    };
    format!("{name} is {known}, but a stream contains only regular files: {EXTRACT}")
}

/// Reads a file of `size` bytes and its padding.
pub(super) async fn read_short(
    input: &mut (impl AsyncRead + Unpin),
    size: u64,
) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(size).read_to_end(&mut bytes).await?;
    if bytes.len() as u64 != size {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    skip(input, padding(size) as u64).await?;
    Ok(bytes)
}

/// Skips `length` bytes.
pub(super) async fn skip(input: &mut (impl AsyncRead + Unpin), length: u64) -> io::Result<()> {
    match tokio::io::copy(&mut input.take(length), &mut tokio::io::sink()).await? {
        passed if passed == length => Ok(()),
        _ => Err(ErrorKind::UnexpectedEof.into()),
    }
}

pub(super) fn invalid(reason: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, reason)
}

/// Reads a header block; `None` for the two blocks of zeros at the end.
async fn read_block(input: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<[u8; BLOCK]>> {
    let mut block = [0; BLOCK];
    input.read_exact(&mut block).await?;
    if block == [0; BLOCK] {
        input.read_exact(&mut block).await?;
        let end = block == [0; BLOCK];
        return if end { Ok(None) } else { Err(invalid(NO_TAR.to_owned())) };
    }
    let sum: u64 = block
        .iter()
        .enumerate()
        .map(|(at, byte)| if SUM.contains(&at) { u64::from(b' ') } else { u64::from(*byte) })
        .sum();
    match number(&block[SUM]) {
        Ok(wanted) if wanted == sum => Ok(Some(block)),
        _ => Err(invalid(match compression(&block) {
            Some(program) => {
                format!("the stream is compressed: decompress it first with `{program} -dc`")
            }
            None => NO_TAR.to_owned(),
        })),
    }
}

/// The program that compressed data starting with these bytes, if known.
fn compression(block: &[u8; BLOCK]) -> Option<&'static str> {
    let known: [(&[u8], _); 4] = [
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"\x1f\x8b", "gzip"),
        (b"\xfd7zXZ", "xz"),
        (b"BZh", "bzip2"),
    ];
    known.into_iter().find(|(magic, _)| block.starts_with(magic)).map(|(_, program)| program)
}

/// Builds a header block.
fn block(name: &str, size: u64, time: u64, kind: u8) -> io::Result<[u8; BLOCK]> {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    if name.len() > NAME {
        return Err(invalid(format!("the name {name:?} is too long")));
    }
    put(0, name.as_bytes());
    put(100, b"0000600\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, format!("{:011o}\0", time.min(MOST)).as_bytes());
    put(SUM.start, b"        ");
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[SUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(block)
}

/// A record of an extended header: its own length in decimal, a key and a value.
fn record(key: &str, value: &str) -> Vec<u8> {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len();
    while rest.len() + length.to_string().len() != length {
        length = rest.len() + length.to_string().len();
    }
    format!("{length}{rest}").into_bytes()
}

/// The name and the size in an extended header.
fn extended(mut records: &[u8]) -> io::Result<(Option<String>, Option<u64>)> {
    let wrong = || invalid("an extended header is not readable".to_owned());
    let (mut path, mut size) = (None, None);
    while !records.is_empty() {
        let space = records.iter().position(|byte| *byte == b' ').ok_or_else(wrong)?;
        let length = std::str::from_utf8(&records[..space]).ok().and_then(|it| it.parse().ok());
        let length = length.filter(|length| (space + 2..=records.len()).contains(length));
        let (record, rest) = records.split_at(length.ok_or_else(wrong)?);
        let record = std::str::from_utf8(&record[space + 1..]).map_err(|_| wrong())?;
        let (key, value) =
            record.strip_suffix('\n').and_then(|it| it.split_once('=')).ok_or_else(wrong)?;
        match key {
            _ if key.starts_with("GNU.sparse.") => return Err(invalid(HOLES.to_owned())),
            "path" => path = Some(value.to_owned()),
            "size" => size = Some(value.parse().map_err(|_| wrong())?),
            _ => {}
        }
        records = rest;
    }
    Ok((path, size))
}

fn name_of(block: &[u8; BLOCK]) -> io::Result<String> {
    let text = |field: &[u8]| {
        let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
        std::str::from_utf8(&field[..end]).map(str::to_owned)
    };
    let not_text = |_| invalid("the name of an entry is not text".to_owned());
    let name = text(&block[..NAME]).map_err(not_text)?;
    // In the old GNU format, the field for the prefix of a long name has other content.
    let prefix = if &block[257..263] == b"ustar\0" { &block[345..500] } else { &[] };
    match text(prefix).map_err(not_text)?.as_str() {
        "" => Ok(name),
        prefix => Ok(format!("{prefix}/{name}")),
    }
}

/// Decodes a number: octal digits, or binary if the highest bit is set.
fn number(field: &[u8]) -> io::Result<u64> {
    let wrong = || invalid(NO_TAR.to_owned());
    if let Some((0x80, rest)) = field.split_first() {
        return rest.iter().try_fold(0_u64, |number, byte| {
            number.checked_mul(256).map(|number| number + u64::from(*byte)).ok_or_else(wrong)
        });
    }
    let text = std::str::from_utf8(field).map_err(|_| wrong())?;
    match text.trim_matches([' ', '\0']) {
        "" => Ok(0),
        digits => u64::from_str_radix(digits, 8).map_err(|_| wrong()),
    }
}

const NO_TAR: &str = "the input is not a tar archive";
const EXTRACT: &str = "extract the archive, then load the directory";
const HOLES: &str = "tar made this archive with holes (-S): make the archive without holes, or \
                     extract it, then load the directory";

const BLOCK: usize = 512;
/// The position of the checksum in a header.
const SUM: std::ops::Range<usize> = 148..156;
/// Maximum bytes of a name in a plain header.
const NAME: usize = 100;
/// The largest number in a plain header: 8 GiB minus one.
const MOST: u64 = 0o777_7777_7777;
/// Maximum bytes of an extended header.
const LONGEST: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, size: u64) -> Entry {
        Entry { name: name.to_owned(), size }
    }

    #[tokio::test]
    async fn written_data_can_be_read() {
        let long = format!("metadefs/{}.json", "x".repeat(200));
        for wanted in [
            entry("a", 0),
            entry("a", MOST),
            entry("a", MOST + 1),
            entry("a", u64::MAX),
            entry(&"n".repeat(NAME), 7),
            entry(&"n".repeat(NAME + 1), 7),
            entry(&long, u64::MAX),
            entry("é".repeat(90).as_str(), 1),
        ] {
            let mut archive = header(&wanted, 1).unwrap();
            archive.extend(END);
            assert_eq!(next(&mut &*archive).await.unwrap(), Some(wanted));
        }
        assert_eq!(next(&mut &END[..]).await.unwrap(), None);
    }

    /// No input causes a panic, or an allocation larger than the input.
    #[tokio::test]
    async fn damage_is_an_error() {
        let good = header(&entry(&"n".repeat(300), u64::MAX), 1).unwrap();
        for at in 0..good.len() {
            let mut damaged = good.clone();
            damaged[at] ^= 0x41;
            let _ = next(&mut &*damaged).await;
            let cut = next(&mut &good[..at]).await.unwrap_err();
            assert_eq!(cut.kind(), ErrorKind::UnexpectedEof);
        }
        for garbage in [vec![b'x'; 4096], vec![0xff; 4096], vec![b' '; 4096]] {
            let error = next(&mut &*garbage).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData);
        }
    }
}
