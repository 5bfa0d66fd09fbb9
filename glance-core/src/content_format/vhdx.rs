//! Glance's checks of VHDX disks: it rejects disks that end before the parts that it inspects.
//! The format: <https://learn.microsoft.com/openspecs/windows_protocols/ms-vhdx>.

use super::{Content, Format, Unfit, array};

/// Rejects data without a complete region table, or without the metadata that the table refers to.
/// The contents of the metadata are not checked: they lie after the head, and whether Glance reads
/// all of them depends on the size of its reads.
pub(super) fn is_safe(content: Content<'_>) -> Result<(), Unfit> {
    content.reaches(REGIONS_END as u64, Format::Vhdx)?;
    match metadata(content.head) {
        // If only the header of the metadata has been read, Glance waits for the rest.
        Some(start) => content.reaches(start.saturating_add(32), Format::Vhdx),
        None => Ok(()),
    }
}

/// The offset of the metadata region. `None` if Glance cannot read the table or the table has no
/// such region: Glance then checks nothing else.
fn metadata(head: &[u8]) -> Option<u64> {
    let table = head.get(REGIONS..REGIONS_END)?;
    let count = usize::try_from(u32::from_le_bytes(array(table, 8)?)).ok()?;
    if !table.starts_with(b"regi") || count >= 2048 {
        return None;
    }
    let mut entries = table.get(16..)?.chunks_exact(32).take(count);
    let entry = entries.find(|entry| entry.starts_with(&METADATA))?;
    array(entry, 16).map(u64::from_le_bytes)
}

/// The beginning and end of the region table.
const REGIONS: usize = 192 << 10;
const REGIONS_END: usize = 256 << 10;

/// 8B7CA206-4790-4B9A-B8FE-575F050F886E in its stored byte order.
const METADATA: [u8; 16] = [
    0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b, 0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e,
];
