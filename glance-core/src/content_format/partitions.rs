//! Glance's checks of partition tables. Glance inspects only the MBR, which a GPT disk also has.
//! The format: <https://uefi.org/specs/UEFI/2.10/05_GUID_Partition_Table_Format.html>.

use super::array;

/// Whether a first sector is a partition table, and not that of a FAT file system, which has the
/// same signature.
pub(super) fn is_table(sector: &[u8]) -> bool {
    let is_fat = sector.get(0x10) == Some(&2) && sector.get(0x15) == Some(&0xf8);
    array(sector, 510) == Some([0x55, 0xaa]) && !is_fat
}

/// Returns the fault of the table at the beginning of `head`, if there is one.
pub(super) fn fault(head: &[u8]) -> Option<String> {
    let entries: [[u8; 16]; 4] =
        std::array::from_fn(|number| array(head, TABLE + 16 * number).unwrap_or_default());
    let kinds = entries.map(|entry| entry[4]);
    for (number, entry) in (1..).zip(entries) {
        if entry[0] & !0x80 != 0 {
            return Some(format!("whose partition {number} has the boot flag {:#04x}", entry[0]));
        }
        if entry[4] == PROTECTIVE && (entry[1..4] != [0, 2, 0] || entry[8..12] != [1, 0, 0, 0]) {
            return Some("whose protective MBR does not begin at the second sector".to_owned());
        }
    }
    if kinds == [0; 4] {
        return Some("without partitions".to_owned());
    }
    let is_alone = kinds[0] != 0 && kinds[1..] == [0; 3];
    (kinds.contains(&PROTECTIVE) && !is_alone)
        .then(|| "whose protective MBR has other partitions".to_owned())
}

const TABLE: usize = 446;

/// The partition type of a protective MBR.
const PROTECTIVE: u8 = 0xee;
