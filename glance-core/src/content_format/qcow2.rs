//! Glance's checks of qcow2 disks.
//! The format: <https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.rst>.

use super::array;

/// Returns the fault of the disk that begins with `head`, if there is one.
pub(super) fn fault(head: &[u8]) -> Option<String> {
    let version = array(head, 4).map_or(0, u32::from_be_bytes);
    // Glance reads the feature bits in version 2 too, although that version has none.
    let features = array(head, 72).map_or(0, u64::from_be_bytes);
    if array(head, 8) != Some([0; 8]) {
        Some(format!(
            "with the backing file {}, which a compute node would read",
            backing_file(head).unwrap_or_else(|| "(unreadable name)".to_owned())
        ))
    } else if features & DATA_FILE != 0 {
        Some("with a data file, which a compute node would read".to_owned())
    } else if !(2..=3).contains(&version) {
        Some(format!("of version {version} (Glance accepts only 2 and 3)"))
    } else if version == 3 && features & !KNOWN != 0 {
        Some(format!("with features that Glance does not accept ({:#x})", features & !KNOWN))
    } else {
        None
    }
}

/// The name of the backing file, quoted so that it cannot control a terminal.
fn backing_file(head: &[u8]) -> Option<String> {
    let start = usize::try_from(u64::from_be_bytes(array(head, 8)?)).ok()?;
    let length = usize::try_from(u32::from_be_bytes(array(head, 16)?)).ok()?;
    let name = head.get(start..start.checked_add(length.min(NAME_LIMIT))?)?;
    Some(format!("{:?}", String::from_utf8_lossy(name)))
}

/// The limit of the qcow2 format.
const NAME_LIMIT: usize = 1023;

/// The bit "external data file".
const DATA_FILE: u64 = 1 << 2;

/// The accepted bits: dirty, corrupt, external data file, compression type. Not accepted: extended
/// L2 entries.
const KNOWN: u64 = 0b1111;
