"""Small images that are valid by Glance's format inspector and by qemu-img, made of nothing."""
import random
import struct
import uuid

MIB = 1 << 20


def noise(size, seed):
    """`size` pseudo-random bytes, the same for the same seed."""
    return b"".join(noise_chunks(size, seed))


def noise_chunks(size, seed, chunk=MIB):
    source = random.Random(seed)
    while size > 0:
        yield source.randbytes(min(size, chunk))
        size -= chunk


def qcow2(clusters, seed, virtual_size=64 * MIB, version=3):
    """header, refcount table, refcount block, L1 table, L2 table, then the data clusters."""
    cluster = 1 << 16
    used = 1 << 63
    header = struct.pack(
        ">4sIQIIQIIQQIIQ", b"QFI\xfb", version, 0, 0, 16, virtual_size, 0, 1, 3 * cluster,
        cluster, 1, 0, 0)
    if version == 3:
        header += struct.pack(">QQQII", 0, 0, 0, 4, 104)
    tables = [
        header,
        struct.pack(">Q", 2 * cluster),
        struct.pack(">H", 1) * (5 + clusters),
        struct.pack(">Q", 4 * cluster | used),
        b"".join(struct.pack(">Q", (5 + i) * cluster | used) for i in range(clusters)),
    ]
    return b"".join(t.ljust(cluster, b"\0") for t in tables) + noise(clusters * cluster, seed)


def vmdk(grains, seed, capacity=65536):
    """A monolithicSparse extent of one grain table: at most 512 grains of 64 KiB."""
    sector, grain, overhead = 512, 128, 128
    descriptor = f"""# Disk DescriptorFile
version=1
CID=12345678
parentCID=ffffffff
createType="monolithicSparse"

# Extent description
RW {capacity} SPARSE "disk.vmdk"

# The Disk Data Base
#DDB

ddb.virtualHWVersion = "4"
ddb.geometry.cylinders = "{capacity // (16 * 63)}"
ddb.geometry.heads = "16"
ddb.geometry.sectors = "63"
ddb.adapterType = "ide"
""".encode()
    header = struct.pack(
        "<4sIIQQQQIQQQB4sH", b"KDMV", 1, 3, capacity, grain, 1, 20, 512, 21, 26, overhead, 0,
        b"\n \r\n", 0)
    table = b"".join(
        struct.pack("<I", overhead + i * grain if i < grains else 0) for i in range(512))
    head = bytearray(overhead * sector)
    for at, part in (
        (0, header), (1, descriptor), (21, struct.pack("<I", 22)), (22, table),
        (26, struct.pack("<I", 27)), (27, table),
    ):
        head[at * sector:at * sector + len(part)] = part
    return bytes(head) + noise(grains * grain * sector, seed)


def vhdx(seed):
    """As far as the inspector reads it, which leaves out what would make it a disk."""
    metadata, item, size = 256 << 10, 64 << 10, MIB
    region = uuid.UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e").bytes_le
    virtual_disk_size = uuid.UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8").bytes_le
    data = bytearray(metadata + item) + noise(size, seed)
    for at, part in (
        (0, b"vhdxfile"), (192 << 10, struct.pack("<4sIII", b"regi", 0, 1, 0)),
        ((192 << 10) + 16, region + struct.pack("<QII", metadata, size, 1)),
        (metadata, struct.pack("<8sHH", b"metadata", 0, 1)),
        (metadata + 32, virtual_disk_size + struct.pack("<III", item, 8, 0)),
        (metadata + item, struct.pack("<Q", size)),
    ):
        data[at:at + len(part)] = part
    return bytes(data)


def iso(blocks, seed):
    """A primary volume descriptor, a terminator, and data that cannot be mounted."""
    block = 2048
    total = 18 + blocks
    primary = bytearray(block)
    primary[0:7] = b"\x01CD001\x01"
    primary[8:40] = b"LINUX".ljust(32)
    primary[40:72] = b"CLOUD".ljust(32)
    primary[80:88] = struct.pack("<I", total) + struct.pack(">I", total)
    primary[120:124] = primary[124:128] = struct.pack("<H", 1) + struct.pack(">H", 1)
    primary[128:132] = struct.pack("<H", block) + struct.pack(">H", block)
    end = b"\xffCD001\x01".ljust(block, b"\0")
    return bytes(16 * block) + bytes(primary) + end + noise(blocks * block, seed)
