//! The images, and Glance's verdict on each.

use super::disks::*;

/// An image and the expected verdict.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// `disk_format` and `container_format`.
    pub(crate) formats: (&'static str, &'static str),
    pub(crate) data: Vec<u8>,
    pub(crate) verdict: Verdict,
}

/// The verdict on an image.
#[derive(Clone, Copy)]
pub(crate) enum Verdict {
    /// Both Glance and the check accept the image.
    Accepted,
    /// Glance refuses the image at the end of the upload, the check before; a part of our message.
    Refused(&'static str),
    /// Glance refuses the image at the end of the upload, and the check cannot know before.
    Late,
}

use Verdict::{Accepted, Late, Refused};

/// Returns every image of the table.
pub(crate) fn cases() -> Vec<Case> {
    [mislabelled(), unsafe_qcow2(), unsafe_vmdk(), unsafe_others(), good(), uninspected(), late()]
        .into_iter()
        .flatten()
        .collect()
}

fn bare(name: &'static str, disk: &'static str, data: Vec<u8>, verdict: Verdict) -> Case {
    Case { name, formats: (disk, "bare"), data, verdict }
}

fn mislabelled() -> Vec<Case> {
    let none = Refused("in no format");
    let two = Refused("several formats");
    let gpt = || partitioned(noise(KIB), &[partition(0, PROTECTIVE)]);
    vec![
        bare("noise as qcow2", "qcow2", noise(70 * KIB), none),
        bare("nothing as qcow2", "qcow2", Vec::new(), none),
        bare("one byte as qcow2", "qcow2", vec![b'Q'], none),
        bare("a qcow2 of 511 bytes", "qcow2", qcow2(3)[..511].to_vec(), none),
        bare("noise as vmdk", "vmdk", noise(KIB), none),
        bare("noise as vhd", "vhd", noise(KIB), none),
        bare("a fixed vhd", "vhd", [noise(KIB), vhd()[..512].to_vec()].concat(), none),
        bare("noise as vhdx", "vhdx", noise(KIB), none),
        bare("noise as vdi", "vdi", noise(KIB), none),
        bare("an iso without its last byte", "iso", iso(*b"CD001")[..34 * KIB - 1].to_vec(), none),
        bare("text as qcow2", "qcow2", SPARSE.replace("createType", "kind").into(), none),
        bare("a FAT file system as iso", "iso", fat(), none),
        bare(
            "a vmdk as qcow2",
            "qcow2",
            vmdk(SPARSE),
            Refused("the record says qcow2, but the data is a VMDK"),
        ),
        bare("a qcow2 as vmdk", "vmdk", qcow2(3), Refused("the data is a qcow2 disk")),
        bare("a vhd as vhdx", "vhdx", vhd(), Refused("the data is a VHD disk")),
        bare("a vdi as iso", "iso", vdi(), Refused("the data is a VDI disk")),
        bare("an iso as qcow2", "qcow2", iso(*b"CD001"), Refused("the data is an ISO image")),
        bare("a partitioned disk as qcow2", "qcow2", gpt(), Refused("a partition table")),
        bare("a partitioned disk as iso", "iso", gpt(), Refused("a partition table")),
        bare("LUKS as qcow2", "qcow2", luks(1), Refused("encrypted by LUKS")),
        bare("a qcow2 as ploop", "ploop", qcow2(3), Refused("the data is a qcow2 disk")),
        bare(
            "a qcow2 with a partition table",
            "qcow2",
            partitioned(qcow2(3), &[partition(0, 0x83)]),
            two,
        ),
        bare(
            "a raw qcow2 with a partition table",
            "raw",
            partitioned(qcow2(3), &[partition(0, 0x83)]),
            two,
        ),
        bare(
            "a raw iso that boots from a disk",
            "raw",
            partitioned(iso(*b"CD001"), &[partition(0, 0x83)]),
            two,
        ),
        bare("a qcow2 and iso", "iso", with(qcow2(3), 32 * KIB + 1, b"CD001"), two),
    ]
}

fn unsafe_qcow2() -> Vec<Case> {
    let backing = Refused("with the backing file \"/etc/passwd\"");
    vec![
        bare("a backing file", "qcow2", qcow2_with_backing_file(), backing),
        bare("a backing file, called raw", "raw", qcow2_with_backing_file(), backing),
        bare(
            "a backing file out of sight",
            "qcow2",
            with(qcow2(2), 8, &[0xff; 12]),
            Refused("the backing file (unreadable name)"),
        ),
        bare("a data file", "qcow2", qcow2_with_features(4), Refused("with a data file")),
        bare(
            "a data file by version 2",
            "qcow2",
            with(qcow2(2), 79, &[4]),
            Refused("with a data file"),
        ),
        bare(
            "extended L2 entries",
            "qcow2",
            qcow2_with_features(16),
            Refused("features that Glance does not accept (0x10)"),
        ),
        bare("features of the future", "qcow2", qcow2_with_features(1 << 63), Refused("features")),
        bare("qcow2 of version 1", "qcow2", qcow2(1), Refused("of version 1")),
        bare("qcow2 of version 4", "qcow2", qcow2(4), Refused("of version 4")),
    ]
}

fn unsafe_vmdk() -> Vec<Case> {
    let flat = SPARSE.replace("monolithicSparse", "monolithicFlat");
    let elsewhere = SPARSE.replace("disk.vmdk", "/etc/passwd");
    let unreadable = Refused("without a readable descriptor");
    let early = Refused("too short");
    let footer = stream_optimized(64 * KIB).len() - 1536;
    let footerless = |at: usize| with(stream_optimized(64 * KIB), footer + at, &[9]);
    let vmdk_of = |name, text: &str, verdict| bare(name, "vmdk", vmdk(text), verdict);
    vec![
        vmdk_of("extents in other files", &flat, Refused("of type \"monolithicflat\"")),
        vmdk_of(
            "an extent by its path",
            &elsewhere,
            Refused("\"rw 2048 sparse \\\"/etc/passwd\\\"\""),
        ),
        bare(
            "an extent by its path, called raw",
            "raw",
            vmdk(&elsewhere),
            Refused("in another file"),
        ),
        vmdk_of("no extents", &SPARSE.replace("RW", "#"), Refused("lists no data")),
        vmdk_of("an unknown line", &SPARSE.replace("RW", "WR"), Refused("has the line")),
        vmdk_of("no descriptor", "", unreadable),
        vmdk_of("no createType", &SPARSE.replace("createType", "kind"), unreadable),
        vmdk_of(
            "a createType without end",
            &SPARSE.replace("Sparse\"", "Sparse"),
            Refused("of type"),
        ),
        vmdk_of("an endless createType", &SPARSE.replace("Sparse", &"x".repeat(64)), unreadable),
        vmdk_of("a descriptor in UTF-8", &SPARSE.replace("Disk", "Größe"), unreadable),
        bare(
            "a descriptor elsewhere",
            "vmdk",
            with(vmdk(SPARSE), 28, &[2]),
            Refused("does not follow"),
        ),
        bare("a vmdk of version 4", "vmdk", with(vmdk(SPARSE), 4, &[4]), Refused("of version 4")),
        bare("a vmdk of 7 bytes", "raw", vmdk(SPARSE)[..7].to_vec(), early),
        bare("a descriptor cut short", "vmdk", vmdk(SPARSE)[..21 * 512 - 1].to_vec(), early),
        bare("a bare descriptor", "vmdk", SPARSE.into(), Refused("descriptor without the data")),
        bare(
            "a bare descriptor of flat extents",
            "vmdk",
            flat.clone().into(),
            Refused("monolithicflat"),
        ),
        bare("a raw descriptor of flat extents", "raw", flat.into(), Refused("monolithicflat")),
        bare("a raw descriptor with a path", "raw", elsewhere.into(), Refused("in another file")),
        bare("a footer of another version", "vmdk", footerless(516), Refused("whose footer")),
        bare("a footer with another descriptor", "vmdk", footerless(540), Refused("whose footer")),
        bare(
            "a footer that names another",
            "vmdk",
            with(footerless(0), footer + 568, &[0xff; 8]),
            Refused("whose footer"),
        ),
        bare("a footer of another kind", "vmdk", footerless(12), Refused("whose footer")),
        bare("no end after the footer", "vmdk", footerless(1100), Refused("whose footer")),
    ]
}

fn unsafe_others() -> Vec<Case> {
    let linux = partition(0x80, 0x83);
    let mbr = |partitions: &[[u8; 16]]| partitioned(noise(KIB), partitions);
    let protective = partition(0, PROTECTIVE);
    let early = Refused("too short");
    let raw = |name, data, verdict| bare(name, "raw", data, verdict);
    vec![
        raw("QED", with(vec![0; KIB], 0, b"QED\0"), Refused("never accepts")),
        raw("LUKS of version 2", luks(2), Refused("of version 2")),
        raw("LUKS without its keys", luks(1)[..591].to_vec(), early),
        raw("a vhd of 511 bytes", vhd()[..511].to_vec(), early),
        bare(
            "a vhdx without its regions",
            "vhdx",
            vhdx(MIB, 65536)[..256 * KIB - 1].to_vec(),
            early,
        ),
        bare("a vhdx without its metadata", "vhdx", vhdx(MIB, 65536)[..MIB].to_vec(), early),
        raw(
            "a boot flag",
            mbr(&[partition(0x12, 0x83)]),
            Refused("partition 1 has the boot flag 0x12"),
        ),
        raw("the boot flag of nothing", mbr(&[linux, partition(1, 0)]), Refused("partition 2 has")),
        raw("without partitions", mbr(&[]), Refused("without partitions")),
        raw("a GPT and another partition", mbr(&[protective, linux]), Refused("other partitions")),
        raw(
            "a GPT as second partition",
            mbr(&[partition(0, 0), protective]),
            Refused("other partitions"),
        ),
        raw("a GPT elsewhere", with(mbr(&[protective]), 454, &[2]), Refused("second sector")),
        raw(
            "a GPT of a wrong cylinder",
            with(mbr(&[protective]), 449, &[1]),
            Refused("second sector"),
        ),
    ]
}

fn good() -> Vec<Case> {
    let good = |name, disk, data| bare(name, disk, data, Accepted);
    let linux = partition(0x80, 0x83);
    let protective = partition(0, PROTECTIVE);
    vec![
        good("raw", "raw", noise(70 * KIB)),
        good("raw without a byte", "raw", Vec::new()),
        good("raw of one byte", "raw", vec![0]),
        good("raw of 511 bytes", "raw", noise(511)),
        good("raw and a qcow2", "raw", qcow2(3)),
        good("raw and a qcow2 of 511 bytes", "raw", qcow2_with_backing_file()[..511].to_vec()),
        good("raw and a vmdk", "raw", vmdk(SPARSE)),
        good("raw and an iso", "raw", iso(*b"CD001")),
        good("raw with an MBR", "raw", partitioned(noise(KIB), &[linux, linux])),
        good("raw with a GPT", "raw", partitioned(noise(KIB), &[protective])),
        good("raw with FAT", "raw", fat()),
        good("raw with LUKS", "raw", luks(1)),
        good("raw text", "raw", SPARSE.replace("createType", "kind").into()),
        good("a raw descriptor", "raw", SPARSE.into()),
        good("qcow2 of version 2", "qcow2", qcow2(2)),
        good(
            "qcow2 of version 2, where version 3 has features",
            "qcow2",
            with(qcow2(2), 72, &[16]),
        ),
        good("qcow2 of version 3", "qcow2", qcow2(3)),
        good("qcow2, dirty and compressed by zstd", "qcow2", qcow2_with_features(0b1001)),
        good("qcow2 of one sector", "qcow2", qcow2(3)[..512].to_vec()),
        good("vmdk", "vmdk", vmdk(SPARSE)),
        good("vmdk in capitals", "vmdk", vmdk(&SPARSE.to_uppercase())),
        good("vmdk and another file", "vmdk", vmdk(&SPARSE.replace("SPARSE \"", "FLAT \"other-"))),
        good("vmdk with a footer", "vmdk", stream_optimized(64 * KIB)),
        good("vmdk with a footer far away", "vmdk", stream_optimized(2 * MIB)),
        good("vhd", "vhd", vhd()),
        good("vhdx", "vhdx", vhdx(MIB, 65536)),
        good("vhdx without a readable table", "vhdx", with(vhdx(MIB, 65536), 192 * KIB, b"nope")),
        good(
            "vhdx with neither table nor metadata",
            "vhdx",
            with(vhdx(MIB, 65536)[..MIB].to_vec(), 192 * KIB, b"nope"),
        ),
        good("vdi", "vdi", vdi()),
        good("iso", "iso", iso(*b"CD001")),
        good("iso in UDF", "iso", iso(*b"NSR02")),
        good("iso that boots from a disk", "iso", partitioned(iso(*b"CD001"), &[linux])),
        good("iso with a bad partition table", "iso", partitioned(iso(*b"CD001"), &[[9; 16]])),
        good("ploop", "ploop", noise(KIB)),
        // Glance's inspection fails on non-ASCII text and then accepts any content.
        good("UTF-8 as qcow2", "qcow2", format!("{SPARSE:600}ü").into()),
    ]
}

/// Formats that Glance does not inspect.
fn uninspected() -> Vec<Case> {
    let within = |name, disk, container| {
        let data = qcow2_with_backing_file();
        Case { name, formats: (disk, container), data, verdict: Accepted }
    };
    vec![
        within("ami", "ami", "ami"),
        within("ari", "ari", "ari"),
        within("aki", "aki", "aki"),
        within("anything in an ova", "vmdk", "ova"),
        within("anything in an ovf", "raw", "ovf"),
        within("anything for docker", "raw", "docker"),
        within("anything compressed", "iso", "compressed"),
    ]
}

/// Faults behind the head: at the end of the image, or wherever its tables point to.
fn late() -> Vec<Case> {
    let footer = with(stream_optimized(2 * MIB), 2 * MIB + 12, &[9]);
    vec![
        bare("a bad footer far away", "vmdk", footer, Late),
        bare("a vhdx without its size", "vhdx", vhdx(MIB, MIB as u32), Late),
    ]
}
