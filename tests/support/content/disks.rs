//! Images of every format that Glance knows, of the smallest size that it accepts.

pub(crate) const KIB: usize = 1 << 10;
pub(crate) const MIB: usize = 1 << 20;

/// `size` pseudo-random bytes, the same every time.
pub(crate) fn noise(size: usize) -> Vec<u8> {
    let mut random = Random(1);
    (0..size).map(|_| random.byte()).collect()
}

/// Pseudo-random numbers that depend only on the seed (xorshift).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 1).unwrap() % limit.max(1)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[3]
    }
}

/// Overwrites `data` with `part` from `at` on, and extends it if necessary.
pub(crate) fn put(data: &mut Vec<u8>, at: usize, part: &[u8]) {
    data.resize(data.len().max(at + part.len()), 0);
    data[at..at + part.len()].copy_from_slice(part);
}

/// Returns `data` with `part` written over it at `at`.
pub(crate) fn with(mut data: Vec<u8>, at: usize, part: &[u8]) -> Vec<u8> {
    put(&mut data, at, part);
    data
}

pub(crate) fn qcow2(version: u32) -> Vec<u8> {
    let mut data = vec![0; 4 * 64 * KIB];
    put(&mut data, 0, b"QFI\xfb");
    put(&mut data, 4, &version.to_be_bytes());
    put(&mut data, 20, &16_u32.to_be_bytes());
    put(&mut data, 24, &(MIB as u64).to_be_bytes());
    data
}

pub(crate) fn qcow2_with_features(features: u64) -> Vec<u8> {
    with(qcow2(3), 72, &features.to_be_bytes())
}

pub(crate) fn qcow2_with_backing_file() -> Vec<u8> {
    let name = b"/etc/passwd";
    let data = with(qcow2(3), 8, &0x200_u64.to_be_bytes());
    with(with(data, 16, &(name.len() as u32).to_be_bytes()), 0x200, name)
}

pub(crate) const SPARSE: &str = "# Disk DescriptorFile\nversion=1\nCID=12345678\n\
    parentCID=ffffffff\ncreateType=\"monolithicSparse\"\n\n# Extent description\n\
    RW 2048 SPARSE \"disk.vmdk\"\n\n#DDB\nddb.adapterType = \"ide\"\n";

pub(crate) fn vmdk(descriptor: &str) -> Vec<u8> {
    let mut data = vec![0; 64 * KIB];
    put(&mut data, 0, b"KDMV");
    put(&mut data, 4, &1_u32.to_le_bytes());
    for (at, value) in [(12, 2048), (20, 128), (28, 1), (36, 20_u64), (56, 26)] {
        put(&mut data, at, &value.to_le_bytes());
    }
    put(&mut data, 512, descriptor.as_bytes());
    data
}

/// A disk of `size` bytes followed by its footer.
pub(crate) fn stream_optimized(size: usize) -> Vec<u8> {
    let mut data = vmdk(&SPARSE.replace("monolithicSparse", "streamOptimized"));
    data.resize(size, 0);
    let mut footer = data[..512].to_vec();
    put(&mut data, 56, &u64::MAX.to_le_bytes());
    put(&mut footer, 56, &7_u64.to_le_bytes());
    let marker = with(vec![0; 512], 12, &3_u32.to_le_bytes());
    [data, marker, footer, vec![0; 512]].concat()
}

pub(crate) fn vhd() -> Vec<u8> {
    let data = with(vec![0; 2 * KIB], 0, b"conectix");
    with(data, 40, &(MIB as u64).to_be_bytes())
}

/// A disk whose metadata begin at `metadata`, with the disk size at offset `item` from there.
pub(crate) fn vhdx(metadata: usize, item: u32) -> Vec<u8> {
    const REGION: [u8; 16] = *b"\x06\xa2\x7c\x8b\x90\x47\x9a\x4b\xb8\xfe\x57\x5f\x05\x0f\x88\x6e";
    const SIZE: [u8; 16] = *b"\x24\x42\xa5\x2f\x1b\xcd\x76\x48\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8";
    let mut data = vec![0; metadata + 128 * KIB];
    put(&mut data, 0, b"vhdxfile");
    put(&mut data, 192 * KIB, b"regi");
    put(&mut data, 192 * KIB + 8, &1_u32.to_le_bytes());
    put(&mut data, 192 * KIB + 16, &REGION);
    put(&mut data, 192 * KIB + 32, &(metadata as u64).to_le_bytes());
    put(&mut data, metadata, b"metadata");
    put(&mut data, metadata + 10, &1_u16.to_le_bytes());
    put(&mut data, metadata + 32, &SIZE);
    put(&mut data, metadata + 48, &item.to_le_bytes());
    put(&mut data, metadata + 52, &8_u32.to_le_bytes());
    data
}

pub(crate) fn vdi() -> Vec<u8> {
    let data = with(vec![0; 2 * KIB], 0x40, &0xbeda_107f_u32.to_le_bytes());
    with(data, 0x170, &(MIB as u64).to_le_bytes())
}

pub(crate) fn iso(mark: [u8; 5]) -> Vec<u8> {
    with(with(vec![0; 40 * KIB], 32 * KIB, b"\x01"), 32 * KIB + 1, &mark)
}

pub(crate) fn luks(version: u16) -> Vec<u8> {
    let data = with(noise(4 * KIB), 0, b"LUKS\xba\xbe");
    with(data, 6, &version.to_be_bytes())
}

/// A partition entry: boot flag and type, beginning at the second sector.
pub(crate) fn partition(boot: u8, kind: u8) -> [u8; 16] {
    [boot, 0, 2, 0, kind, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0, 8, 0, 0]
}

pub(crate) const PROTECTIVE: u8 = 0xee;

/// Puts a partition table in front of `data`.
pub(crate) fn partitioned(data: Vec<u8>, partitions: &[[u8; 16]]) -> Vec<u8> {
    let table = with(data, 446, &[0; 64]);
    let table = with(table, 446, &partitions.concat());
    with(table, 510, &[0x55, 0xaa])
}

/// The boot sector of a FAT filesystem, which ends with the signature of a partition table.
pub(crate) fn fat() -> Vec<u8> {
    let data = with(vec![0; 4 * KIB], 0x10, &[2]);
    with(with(data, 0x15, &[0xf8]), 510, &[0x55, 0xaa])
}
