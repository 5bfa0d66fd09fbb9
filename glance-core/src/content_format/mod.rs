//! What Glance makes of the first bytes of an image, and whether it refuses them.
//!
//! Glance looks at the data of `bare` images while it stores them, and judges when all of it is
//! there: what it does not like is answered by 415 at the end of the upload, and the record can't
//! be used any more. [`check`] comes to the same verdict from the [`HEAD`] alone.
//!
//! The rules are those of `format_inspector.py` of oslo.utils 10.2 and of `set_data` in
//! `glance/location.py` of Glance 33, quirks included: what Glance accepts is never refused. What
//! lies behind the head is not judged: the footer of a streamOptimized VMDK and the metadata of a
//! VHDX. Nor are virtual sizes: Glance's database, not its inspection, fails on 8 EiB and more.

use std::fmt;

mod partitions;
mod qcow2;
mod vhdx;
mod vmdk;

/// Bytes at the beginning of an image that [`check`] needs: the longest VMDK descriptor that Glance
/// reads, and the sector before it.
pub const HEAD: usize = (1 << 20) + 512;

/// Bytes at the beginning that [`check`] needs of all but VMDK disks: the region tables of a VHDX.
pub const SHORT_HEAD: usize = 256 << 10;

/// What data can be, as Glance sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// A partition table, MBR or GPT.
    Gpt,
    /// ISO 9660 or UDF.
    Iso,
    /// Encrypted by LUKS.
    Luks,
    /// QEMU's current format, and its forerunner.
    Qcow2,
    /// QEMU's abandoned format.
    Qed,
    /// Anything else.
    Raw,
    /// `VirtualBox`'s format.
    Vdi,
    /// Hyper-V's old format, also known as VPC.
    Vhd,
    /// Hyper-V's current format.
    Vhdx,
    /// `VMware`'s format.
    Vmdk,
}

impl Format {
    /// As a `disk_format` names it. Not every one is a `disk_format` of a Glance.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gpt => "gpt",
            Self::Iso => "iso",
            Self::Luks => "luks",
            Self::Qcow2 => "qcow2",
            Self::Qed => "qed",
            Self::Raw => "raw",
            Self::Vdi => "vdi",
            Self::Vhd => "vhd",
            Self::Vhdx => "vhdx",
            Self::Vmdk => "vmdk",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gpt => "a disk with a partition table",
            Self::Iso => "an ISO image",
            Self::Luks => "a disk encrypted by LUKS",
            Self::Qcow2 => "a qcow2 disk",
            Self::Qed => "a QED disk",
            Self::Raw => "of no format that Glance knows",
            Self::Vdi => "a VDI disk",
            Self::Vhd => "a VHD disk",
            Self::Vhdx => "a VHDX disk",
            Self::Vmdk => "a VMDK disk",
        })
    }
}

/// Why Glance refuses data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    /// One format hides behind another.
    #[error("the data is {} at once", both(.0))]
    Ambiguous(Vec<Format>),
    /// The data ends before what makes it a disk of its format.
    #[error("the data begins as {0} and ends too early for one")]
    CutOff(Format),
    /// It is of another format than its record says.
    #[error("the record says {declared}, but the data is {found}")]
    Mislabelled {
        /// The record's `disk_format`.
        declared: String,
        /// What it is.
        found: Format,
    },
    /// It is of a form that could harm whoever uses it, or that Glance can't rule that out for.
    #[error("the data is {format} {reason}")]
    Unsafe {
        /// What it is.
        format: Format,
        /// What is wrong with it, a fragment of a sentence.
        reason: String,
    },
}

/// What data beginning with `head` is. Of several formats at once, the first that Glance looks for;
/// [`check`] refuses such data.
pub fn detect(head: &[u8]) -> Format {
    let found = candidates(head).unwrap_or_default();
    if is_bootable_iso(&found) {
        Format::Iso
    } else {
        found.first().copied().unwrap_or(Format::Raw)
    }
}

/// Whether Glance takes data of `size` bytes that begins with `head` for an image of these formats.
/// A `head` shorter than `size` has [`HEAD`] bytes, or [`is_enough`].
///
/// # Errors
/// Why it refuses them.
pub fn check(disk: &str, container: &str, head: &[u8], size: u64) -> Result<(), Unfit> {
    // Only here Glance looks at the data.
    let Some(found) = (container == "bare").then(|| candidates(head)).flatten() else {
        return Ok(());
    };
    let format = match found[..] {
        [] => Format::Raw,
        [only] => only,
        // Only where it is called one: Glance trips over it in a raw image.
        _ if is_bootable_iso(&found) && disk != "raw" => Format::Iso,
        _ => return Err(Unfit::Ambiguous(found)),
    };
    let is_inspected = INSPECTED.iter().any(|known| known.name() == disk);
    let fits = format.name() == disk || disk == "raw" || (format == Format::Raw && !is_inspected);
    if !fits {
        return Err(Unfit::Mislabelled { declared: disk.to_owned(), found: format });
    }
    Content { head, size }.is_safe(format)?;
    match format {
        Format::Vmdk if disk == "vmdk" => vmdk::has_data(head),
        _ => Ok(()),
    }
}

/// Whether [`check`] comes to a verdict by this head, although the data is longer.
pub fn is_enough(head: &[u8]) -> bool {
    let length = head.len();
    length >= HEAD || (length >= SHORT_HEAD && matches(Format::Vmdk, head) == Some(false))
}

/// What the data is besides raw. None when Glance's inspection fails on it, which lets any data
/// pass.
fn candidates(head: &[u8]) -> Option<Vec<Format>> {
    let mut found = Vec::new();
    for format in INSPECTED {
        if matches(*format, head)? {
            found.push(*format);
        }
    }
    Some(found)
}

/// A bootable ISO may have a partition table, so that it boots from a disk too.
fn is_bootable_iso(found: &[Format]) -> bool {
    found == [Format::Iso, Format::Gpt]
}

fn matches(format: Format, head: &[u8]) -> Option<bool> {
    // Of these, Glance looks at whole sectors only.
    let sector = head.get(..SECTOR).unwrap_or_default();
    Some(match format {
        Format::Gpt => partitions::is_table(sector),
        Format::Iso => {
            let mark = head.get(ISO..ISO + 2048).and_then(|descriptor| descriptor.get(1..6));
            mark.is_some_and(|mark| [b"CD001", b"NSR02", b"NSR03"].iter().any(|it| mark == *it))
        }
        Format::Luks => head.starts_with(b"LUKS\xba\xbe"),
        Format::Qcow2 => sector.starts_with(b"QFI\xfb"),
        Format::Qed => sector.starts_with(b"QED\0"),
        Format::Raw => false,
        Format::Vdi => array(sector, 0x40) == Some(0xbeda_107f_u32.to_le_bytes()),
        Format::Vhd => head.starts_with(b"conectix"),
        Format::Vhdx => head.starts_with(b"vhdxfile"),
        Format::Vmdk => return vmdk::matches(head),
    })
}

/// An image's first bytes, and how many there are in all.
#[derive(Debug, Clone, Copy)]
struct Content<'a> {
    head: &'a [u8],
    size: u64,
}

impl Content<'_> {
    fn is_safe(self, format: Format) -> Result<(), Unfit> {
        let reason = match format {
            Format::Gpt => partitions::fault(self.head),
            Format::Luks => {
                self.reaches(592, format)?;
                let version = array(self.head, 6).map_or(0, u16::from_be_bytes);
                (version != 1).then(|| format!("of version {version}, Glance accepts 1 only"))
            }
            Format::Qcow2 => qcow2::fault(self.head),
            Format::Qed => Some("which Glance never accepts".to_owned()),
            Format::Vhd => return self.reaches(SECTOR as u64, format),
            Format::Vhdx => return vhdx::is_safe(self),
            Format::Vmdk => vmdk::fault(self)?,
            Format::Iso | Format::Raw | Format::Vdi => None,
        };
        reason.map_or(Ok(()), |reason| Err(Unfit::Unsafe { format, reason }))
    }

    /// Refuses data of fewer than `end` bytes.
    fn reaches(self, end: u64, format: Format) -> Result<(), Unfit> {
        if self.size < end { Err(Unfit::CutOff(format)) } else { Ok(()) }
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn both(formats: &[Format]) -> String {
    formats.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

/// What Glance looks for. A record may name others, as `ami`, whose data must be none of these.
const INSPECTED: &[Format] = &[
    Format::Qcow2,
    Format::Vhd,
    Format::Vhdx,
    Format::Vmdk,
    Format::Vdi,
    Format::Qed,
    Format::Iso,
    Format::Gpt,
    Format::Luks,
    Format::Raw,
];

/// Where ISO 9660 and UDF have their first volume descriptor.
const ISO: usize = 0x8000;

const SECTOR: usize = 512;
