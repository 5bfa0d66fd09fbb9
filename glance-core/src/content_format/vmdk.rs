//! Glance's checks of VMDK disks: it accepts only a sparse extent with an embedded descriptor.
//! The format: <https://www.vmware.com/app/vmdk/?src=vmdk>.

use super::{Content, Format, SECTOR, Unfit, array};

/// Whether Glance recognizes the data as a VMDK disk: a sparse extent, or a text that names a disk
/// type. `None` if Glance's inspection fails on the text, as it does on non-ASCII text.
pub(super) fn matches(head: &[u8]) -> Option<bool> {
    if is_extent(head) || !is_text(head) {
        return Some(is_extent(head));
    }
    descriptor(first_read(head)).map(|text| kind(&text).is_some())
}

/// Returns the fault of data that [`matches`] recognizes, if there is one.
pub(super) fn fault(content: Content<'_>) -> Result<Option<String>, Unfit> {
    let Content { head, .. } = content;
    if !is_extent(head) {
        return Ok(descriptor(first_read(head)).as_deref().and_then(descriptor_fault));
    }
    content.reaches(EXTENT_HEADER as u64, Format::Vmdk)?;
    let version = array(head, 4).map_or(0, u32::from_le_bytes);
    if !(1..=3).contains(&version) {
        return Ok(Some(format!("of version {version} (Glance accepts only 1 to 3)")));
    }
    if array(head, 28) != Some(1_u64.to_le_bytes()) {
        return Ok(Some("whose descriptor does not follow its header".to_owned()));
    }
    let sectors = array(head, 36).map_or(0, u64::from_le_bytes);
    let length = sectors.saturating_mul(SECTOR as u64).min(DESCRIPTOR_LIMIT as u64);
    content.reaches(SECTOR as u64 + length, Format::Vmdk)?;
    let length = usize::try_from(length).unwrap_or(DESCRIPTOR_LIMIT);
    let text = head.get(SECTOR..SECTOR + length).and_then(descriptor).unwrap_or_default();
    match descriptor_fault(&text) {
        None if array(head, 56) == Some(AT_END) => footer_fault(content),
        fault => Ok(fault),
    }
}

/// Rejects a descriptor without data as the data of a VMDK image: Glance fails even on a harmless
/// one.
pub(super) fn has_data(head: &[u8]) -> Result<(), Unfit> {
    let reason = "descriptor without the data".to_owned();
    if is_extent(head) { Ok(()) } else { Err(Unfit::Unsafe { format: Format::Vmdk, reason }) }
}

fn is_extent(head: &[u8]) -> bool {
    head.starts_with(b"KDMV")
}

fn is_text(head: &[u8]) -> bool {
    let is_readable = |byte: &u8| matches!(byte, b' '..=b'~') || is_space(char::from(*byte));
    head.len() >= EXTENT_HEADER && head[..head.len().min(SECTOR)].iter().all(is_readable)
}

/// Python's `isspace` for ASCII characters.
fn is_space(character: char) -> bool {
    matches!(character, '\t'..='\r' | '\x1c'..='\x1f' | ' ')
}

/// The part in which Glance looks for a bare descriptor: its first read, which has this size with a
/// file store and is larger with other stores.
fn first_read(head: &[u8]) -> &[u8] {
    &head[..head.len().min(64 << 10)]
}

/// The text up to the first NUL, in lower case.
fn descriptor(bytes: &[u8]) -> Option<String> {
    let text = bytes.split(|byte| *byte == 0).next()?;
    text.is_ascii().then(|| String::from_utf8_lossy(text).to_lowercase())
}

/// The disk type in the descriptor.
fn kind(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("createtype=\"")?;
    match rest.split_once('"') {
        Some((kind, _)) => (kind.len() < 64).then_some(kind),
        // Glance parses an unterminated value in this way.
        None => Some(&rest[..rest.len().saturating_sub(1)]),
    }
}

fn descriptor_fault(text: &str) -> Option<String> {
    match kind(text) {
        Some("monolithicsparse" | "streamoptimized") => {}
        Some(kind) => {
            return Some(format!(
                "of type {kind:?} (Glance accepts only monolithicSparse and streamOptimized)"
            ));
        }
        None => return Some("without a readable descriptor".to_owned()),
    }
    let mut extents = 0;
    for line in text.split('\n').map(|line| line.trim_matches(is_space)) {
        let key = line.split('=').next().filter(|key| *key != line);
        let is_known = line.is_empty()
            || line.starts_with('#')
            || line.starts_with("ddb")
            || key.is_some_and(|key| !key.contains(' '));
        if is_known {
            continue;
        }
        if !ACCESS.iter().any(|access| line.split(' ').next() == Some(access)) {
            return Some(format!("whose descriptor has the line {:?}", shortened(line)));
        }
        if line.contains('/') {
            let line = shortened(line);
            return Some(format!("whose data is in another file: {line:?}"));
        }
        extents += 1;
    }
    (extents == 0).then(|| "whose descriptor lists no data".to_owned())
}

fn shortened(line: &str) -> &str {
    &line[..line.len().min(100)]
}

/// Returns the fault of the footer, which replaces the header if the header refers to it for the
/// grain directory. The footer can be checked only if the head is the complete data.
fn footer_fault(content: Content<'_>) -> Result<Option<String>, Unfit> {
    content.reaches(FOOTER as u64, Format::Vmdk)?;
    let head = content.head;
    if content.size != head.len() as u64 {
        return Ok(None);
    }
    let footer = &head[head.len() - FOOTER..];
    let extent = &footer[SECTOR..];
    let same = |at: usize, end: usize| head.get(at..end) == extent.get(at..end);
    let is_good = same(0, 8)
        && same(28, 44)
        && array(extent, 56) != Some(AT_END)
        && footer[8..16] == [0, 0, 0, 0, 3, 0, 0, 0]
        && footer[16..SECTOR].iter().chain(&footer[2 * SECTOR..]).all(|byte| *byte == 0);
    Ok((!is_good).then(|| "whose footer does not match its header".to_owned()))
}

const EXTENT_HEADER: usize = 64;
const DESCRIPTOR_LIMIT: usize = (1 << 20) - 1;

/// A marker, a copy of the header, and an end marker.
const FOOTER: usize = 3 * SECTOR;

/// The offset of the grain directory if it is only in the footer.
const AT_END: [u8; 8] = [0xff; 8];

/// The first words of descriptor lines that name data.
const ACCESS: &[&str] = &["rw", "rdonly", "noaccess"];
