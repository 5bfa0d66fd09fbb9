//! Detects the format of image data from its first bytes, and whether Glance would reject the data.
//!
//! Glance inspects the data of `bare` images while it stores them and decides when the data is
//! complete. It answers rejected data with 415 at the end of the upload, and the record cannot be
//! used any more. [`check`] reaches the same verdict from the [`HEAD`] alone.
//!
//! The rules are those of `format_inspector.py` of oslo.utils 10.2 and of `set_data` in
//! `glance/location.py` of Glance 33, including their quirks: data that Glance accepts is never
//! rejected. Anything after the head is not checked: the footer of a streamOptimized VMDK and the
//! metadata of a VHDX. Virtual sizes are not checked either: only Glance's database, not its
//! inspection, fails on 8 EiB and more.

use std::fmt;

mod partitions;
mod qcow2;
mod vhdx;
mod vmdk;

/// The number of bytes at the beginning of an image that [`check`] needs: the longest VMDK
/// descriptor that Glance reads, and the sector before it.
pub const HEAD: usize = (1 << 20) + 512;

/// The number of bytes at the beginning that [`check`] needs unless the image is a VMDK disk: they
/// include the region tables of a VHDX.
pub const SHORT_HEAD: usize = 256 << 10;

/// Data formats, as Glance distinguishes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// A partition table, MBR or GPT.
    Gpt,
    /// ISO 9660 or UDF.
    Iso,
    /// A disk encrypted with LUKS.
    Luks,
    /// QEMU's current format, qcow2, or its predecessor.
    Qcow2,
    /// QEMU's discontinued format.
    Qed,
    /// Anything else.
    Raw,
    /// `VirtualBox`'s format.
    Vdi,
    /// Hyper-V's old format, also called VPC.
    Vhd,
    /// Hyper-V's current format.
    Vhdx,
    /// `VMware`'s format.
    Vmdk,
}

impl Format {
    /// The format's name in `disk_format`. Not every name is a valid `disk_format` in Glance.
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
            Self::Raw => "in no format that Glance knows",
            Self::Vdi => "a VDI disk",
            Self::Vhd => "a VHD disk",
            Self::Vhdx => "a VHDX disk",
            Self::Vmdk => "a VMDK disk",
        })
    }
}

/// The reason why Glance rejects data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    /// The data matches several formats.
    #[error("the data matches several formats: {}", both(.0))]
    Ambiguous(Vec<Format>),
    /// The data ends before the parts that make it a disk of its format.
    #[error("the data begins like {0}, but is too short")]
    CutOff(Format),
    /// The data's format differs from the record's.
    #[error("the record says {declared}, but the data is {found}")]
    Mislabelled {
        /// The record's `disk_format`.
        declared: String,
        /// The detected format.
        found: Format,
    },
    /// Using the data could be harmful, or Glance cannot rule that out.
    #[error("the data is {format} {reason}")]
    Unsafe {
        /// The detected format.
        format: Format,
        /// The reason, as a fragment of a sentence.
        reason: String,
    },
}

/// The format of data that begins with `head`. If the data matches several formats, the result is
/// the first one that Glance looks for; [`check`] rejects such data.
pub fn detect(head: &[u8]) -> Format {
    let found = candidates(head).unwrap_or_default();
    if is_bootable_iso(&found) {
        Format::Iso
    } else {
        found.first().copied().unwrap_or(Format::Raw)
    }
}

/// Checks whether Glance accepts data of `size` bytes that begins with `head` for an image with
/// these formats. A `head` shorter than `size` must have [`HEAD`] bytes or satisfy [`is_enough`].
///
/// # Errors
/// The reason why Glance rejects the data.
pub fn check(disk: &str, container: &str, head: &[u8], size: u64) -> Result<(), Unfit> {
    // Glance inspects only the data of `bare` images.
    let Some(found) = (container == "bare").then(|| candidates(head)).flatten() else {
        return Ok(());
    };
    let format = match found[..] {
        [] => Format::Raw,
        [only] => only,
        // Only if the record says so: Glance rejects a bootable ISO as a raw image.
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

/// Whether this head is enough for [`check`], although the data is longer.
pub fn is_enough(head: &[u8]) -> bool {
    let length = head.len();
    length >= HEAD || (length >= SHORT_HEAD && matches(Format::Vmdk, head) == Some(false))
}

/// The formats other than raw that match the data. `None` if Glance's inspection fails, in which
/// case Glance accepts any data.
fn candidates(head: &[u8]) -> Option<Vec<Format>> {
    let mut found = Vec::new();
    for format in INSPECTED {
        if matches(*format, head)? {
            found.push(*format);
        }
    }
    Some(found)
}

/// A bootable ISO can have a partition table, so that it also boots from a disk.
fn is_bootable_iso(found: &[Format]) -> bool {
    found == [Format::Iso, Format::Gpt]
}

fn matches(format: Format, head: &[u8]) -> Option<bool> {
    // For these formats, Glance inspects only whole sectors.
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

/// An image's first bytes, and its total size.
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
                (version != 1)
                    .then(|| format!("of version {version} (Glance accepts only version 1)"))
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

    /// Rejects data of fewer than `end` bytes.
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

/// The formats that Glance looks for. If a record names another format, such as `ami`, its data
/// must not match any of these.
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

/// The offset of the first volume descriptor of ISO 9660 and UDF.
const ISO: usize = 0x8000;

const SECTOR: usize = 512;
