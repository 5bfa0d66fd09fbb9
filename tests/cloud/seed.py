"""Makes varied images on a cloud: seed.py CLOUD (an administrator's entry of clouds.yaml).

The same images every time, and the namespaces of metadefs.py. What is there already stays, what was
interrupted is finished.
"""
import hashlib
import sys
import time
import uuid

import metadefs
from connection import PATCH, call, connect, projects
from standalone.formats import MIB, iso, noise, noise_chunks, qcow2, vhdx, vmdk

OCTETS = {"Content-Type": "application/octet-stream"}
LONG = "".join(f"{i:05d} äöü 漢字 " for i in range(4000))[:60000]


def image(key, data=None, *, disk_format="raw", container_format="bare", visibility="private",
          owner="admin", members=None, later=None, imported=False, deactivated=False, **record):
    """`data`: a function giving bytes or chunks; without it the image stays a record.

    `owner` and `members`: projects of the domain Default, or as `domain/project`; what is no
    project is taken as it is. `later`: what is set when the image is active. `imported`: the data
    is staged and imported.
    """
    record = {
        "id": image_id(key), "name": key,
        "disk_format": disk_format, "container_format": container_format,
        "visibility": visibility, **record,
    }
    return record, data, owner, members or {}, later or {}, imported, deactivated


def image_id(key):
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"cloud-seed/{key}"))


def raw(size, seed):
    return lambda: noise(size, seed)


def fake_id(text):
    """The id of something that no Glance knows."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, text))


def sdk_notes(data):
    """What openstacksdk notes down about an image that it makes."""
    return {
        "owner_specified.openstack.md5": hashlib.md5(data).hexdigest(),
        "owner_specified.openstack.sha256": hashlib.sha256(data).hexdigest(),
        "owner_specified.openstack.object": "images/snapshot",
    }


SIGNATURE = {
    "img_signature": "MEUCIQDtest+signature/" * 8 + "==", "img_signature_hash_method": "SHA-256",
    "img_signature_key_type": "RSA-PSS",
    "img_signature_certificate_uuid": fake_id("certificate"),
}
# Properties that Nova writes into a snapshot, which are meaningless at another site.
OF_THE_SITE = {
    "instance_uuid": fake_id("instance"), "base_image_ref": fake_id("base"),
    "user_id": fake_id("user"), "owner_id": fake_id("owner"), "owner_project_name": "proj1",
    "owner_user_name": "alice", "image_location": "snapshot", "image_state": "available",
    "boot_roles": "member,reader",
}
VOLUME_SNAPSHOT = (
    '[{"source_type": "snapshot", "destination_type": "volume", "boot_index": 0, "snapshot_id": "'
    + fake_id("snapshot") + '", "delete_on_termination": true}]')
# The machine comes before its kernel and ramdisk in the order of ids.
assert image_id("machine") < min(image_id("kernel"), image_id("ramdisk"))

IMAGES = [
    # Sizes.
    image("raw-empty", lambda: b""),
    image("raw-1-byte", lambda: b"\0"),
    image("raw-511", raw(511, 1)),
    image("raw-64k", raw(65536, 2), visibility="public"),
    image("raw-64k-plus-1", raw(65537, 3), visibility="community"),
    image("raw-1m", raw(MIB, 4), owner="proj1"),
    image("raw-8m", raw(8 * MIB, 5), owner="proj2", min_disk=1, min_ram=512),
    image("raw-zeros-16m", lambda: bytes(16 * MIB)),
    image("raw-32m", raw(32 * MIB, 6), visibility="public", min_disk=20, min_ram=4096),
    image("raw-256m", lambda: noise_chunks(256 * MIB, 7), visibility="public"),
    # Formats.
    image("qcow2-v3", lambda: qcow2(16, 10), disk_format="qcow2", visibility="public",
          os_distro="debian", os_version="12", hw_disk_bus="virtio", architecture="x86_64"),
    image("qcow2-v2", lambda: qcow2(1, 11, version=2), disk_format="qcow2"),
    image("qcow2-empty-disk", lambda: qcow2(0, 12), disk_format="qcow2", visibility="community"),
    image("qcow2-24m", lambda: qcow2(384, 13, 512 * MIB), disk_format="qcow2", owner="proj1"),
    image("vmdk", lambda: vmdk(8, 14), disk_format="vmdk", visibility="public",
          vmware_adaptertype="ide", vmware_disktype="sparse"),
    image("vmdk-empty-disk", lambda: vmdk(0, 15), disk_format="vmdk", owner="proj2"),
    image("iso", lambda: iso(64, 16), disk_format="iso", visibility="public"),
    image("iso-4m", lambda: iso(2048, 17), disk_format="iso", owner="proj1"),
    image("kernel", raw(4096, 18), disk_format="aki", container_format="aki"),
    image("ramdisk", raw(8192, 19), disk_format="ari", container_format="ari"),
    image("machine", raw(9000, 21), disk_format="ami", container_format="ami",
          kernel_id=image_id("kernel"), ramdisk_id=image_id("ramdisk")),
    # Two formats that not every site accepts.
    image("ploop", raw(5000, 22), disk_format="ploop"),
    image("vhdx", lambda: vhdx(23), disk_format="vhdx", owner="proj1"),
    image("container", raw(30000, 20), container_format="docker"),
    # Visibilities and members.
    image("shared-without-members", raw(100, 30), visibility="shared", owner="proj1"),
    image("shared-pending", raw(101, 31), visibility="shared", owner="proj1",
          members={"proj2": "pending"}),
    image("shared-accepted", raw(102, 32), visibility="shared", owner="proj1",
          members={"proj2": "accepted"}),
    image("shared-rejected", raw(103, 33), visibility="shared", owner="proj2",
          members={"proj1": "rejected"}),
    image("shared-with-many", lambda: qcow2(2, 34), disk_format="qcow2", visibility="shared",
          members={"proj1": "accepted", "proj2": "rejected", "service": "pending",
                   "no-such-project": "accepted"}),
    image("shared-in-all-states", raw(105, 36), visibility="shared", owner="admin",
          members={"proj1": "pending", "proj2": "accepted", "partners/proj1": "rejected"}),
    image("shared-by-a-partner", raw(106, 37), visibility="shared", owner="partners/proj1",
          members={"proj1": "accepted"}),
    image("shared-with-only-a", raw(107, 38), visibility="shared", owner="proj1",
          members={"only-a": "accepted", "proj2": "accepted"}),
    image("community-of-proj2", raw(104, 35), visibility="community", owner="proj2"),
    # Hidden, protected, deactivated, and all at once.
    image("hidden", raw(200, 40), os_hidden=True, visibility="public"),
    image("hidden-of-proj1", raw(201, 41), os_hidden=True, owner="proj1"),
    image("hidden-community", raw(205, 46), os_hidden=True, visibility="community", owner="proj2"),
    image("protected", raw(202, 42), later={"protected": True}),
    image("deactivated", raw(203, 43), deactivated=True),
    image("deactivated-public", lambda: iso(1, 44), disk_format="iso", deactivated=True,
          visibility="public"),
    image("everything-at-once", lambda: vmdk(1, 45), disk_format="vmdk", visibility="shared",
          owner="proj2", members={"proj1": "accepted"}, later={"protected": True}, deactivated=True,
          os_hidden=True, tags=["a", "b"], min_disk=3, min_ram=64, note="all"),
    # Names, tags and properties.
    image("no-name", raw(300, 50), name=None),
    image("empty-name", raw(301, 51), name=""),
    image("unicode", raw(302, 52), name="Größe 漢字 עברית ☃", tags=["schön", "日本語", "שלום"],
          beschreibung="Überprüfung: ½ € ≠ ∞", größe="groß"),
    image("same-name-1", raw(303, 53), name="twin"),
    image("same-name-2", raw(304, 54), name="twin", owner="proj1"),
    image("long-name", raw(305, 55), name="n" * 255),
    image("tags", raw(306, 56), tags=[f"tag-{i:03d}" for i in range(100)] + ["a/b", "with space"]),
    image("empty-values", raw(307, 57), empty="", blank=" ", lines="one\ntwo\n", tab="a\tb"),
    image("long-value", raw(308, 58), long=LONG),
    image("odd-property-names", raw(309, 59), **{
        "with/slash": "1", "with~tilde": "2", "with space": "3", "~1/~0": "4", 'quote"d': "5",
        "back\\slash": "6", "Ключ": "7", "p" * 255: "8", "CamelCase": "9", "trait:HW_CPU": "required",
    }),
    image("many-properties", raw(310, 60), **{f"property_{i:03d}": str(i) for i in range(120)}),
    image("looks-typed", raw(311, 61), number="1", truth="True", nothing="null", list="[1, 2]"),
    # Owners that do not exist at every site, or at none.
    image("of-partners", lambda: qcow2(1, 70), disk_format="qcow2", owner="partners/proj1",
          tags=["partner"]),
    image("of-only-a", raw(400, 71), owner="only-a"),
    image("of-no-project", raw(401, 72), owner="no-such-project"),
    image("without-owner", raw(402, 73), owner=None),
    # Site-specific properties, next to properties that are copied.
    image("snapshot", raw(500, 80), owner="proj1", os_distro="debian", os_version="13",
          os_type="linux", os_admin_user="root", os_require_quiesce="yes", hw_disk_bus="scsi",
          hw_qemu_guest_agent="yes", **{"trait:CUSTOM_NVME": "required"}, image_type="snapshot",
          description="before the upgrade", **OF_THE_SITE, **sdk_notes(noise(500, 80))),
    image("imported", lambda: qcow2(2, 81), disk_format="qcow2", imported=True, os_distro="cirros"),
    image("signed", raw(501, 82), visibility="public", later=SIGNATURE),
    image("signed-and-more", raw(502, 83), later={**SIGNATURE, "protected": True},
          deactivated=True),
    # A key that is deleted with the image; copies must not have it.
    image("encrypted", raw(503, 84), owner="proj1", cinder_encryption_key_id=fake_id("key"),
          cinder_encryption_key_deletion_policy="on_image_deletion"),
    image("encrypted-key-stays", raw(504, 85), cinder_encryption_key_id=fake_id("key"),
          cinder_encryption_key_deletion_policy="do_not_delete"),
    image("boot-from-volume", lambda: b"", owner="proj1", block_device_mapping=VOLUME_SNAPSHOT,
          bdm_v2="True", root_device_name="/dev/vda", min_disk=1),
    # Records without data.
    image("queued-shared", visibility="shared", owner="proj1", members={"proj2": "accepted"}),
    image("queued", disk_format="qcow2", visibility="public"),
    image("queued-bare", disk_format=None, container_format=None, owner="proj1", tags=["later"]),
]


def finish(connection, ids, spec):
    """Brings one image to its end state; says whether anything was to do."""
    record, data, owner, members, later, imported, deactivated = spec
    path = f"/images/{record['id']}"
    answer = call("GET", connection, path, expect=(200, 404))
    changed = answer.status_code == 404
    if changed:
        record = {**record, "owner": project_id(ids, owner)}
        answer = call("POST", connection, "/images", json=record)
    now = answer.json()
    if data and now["status"] in ("queued", "uploading"):
        (fill_by_import if imported else fill)(connection, path, data())
        now = call("GET", connection, path).json()
        changed = True
    wanted = {project_id(ids, name): status for name, status in members.items()}
    changed |= share(connection, path, wanted)
    patch = [{"op": "add", "path": f"/{name}", "value": value}
             for name, value in later.items() if now.get(name) != value]
    if patch:
        call("PATCH", connection, path, json=patch, headers=PATCH)
        changed = True
    if deactivated and now["status"] == "active":
        call("POST", connection, f"{path}/actions/deactivate")
        changed = True
    return changed


def project_id(ids, name):
    return ids.get(f"Default/{name}") or ids.get(name, name)


def fill(connection, path, data):
    call("PUT", connection, f"{path}/file", data=data, headers=OCTETS)


def fill_by_import(connection, path, data):
    if call("GET", connection, path).json()["status"] == "queued":
        call("PUT", connection, f"{path}/stage", data=data, headers=OCTETS)
    call("POST", connection, f"{path}/import", json={"method": {"name": "glance-direct"}})
    for _ in range(300):
        if call("GET", connection, path).json()["status"] == "active":
            return
        time.sleep(0.1)
    sys.exit(f"{path}: the import does not end")


def share(connection, path, wanted):
    """Brings the members of an image to their states; says whether anything was to do."""
    if not wanted:
        return False
    have = call("GET", connection, f"{path}/members").json()["members"]
    have = {member["member_id"]: member["status"] for member in have}
    for project, status in wanted.items():
        if project not in have:
            call("POST", connection, f"{path}/members", json={"member": project})
        if have.get(project, "pending") != status:
            call("PUT", connection, f"{path}/members/{project}", json={"status": status})
    return wanted.items() - have.items() != set()


def main(cloud):
    connection = connect(cloud)
    ids = {name: project for project, name in projects(connection).items()}
    made = sum(finish(connection, ids, spec) for spec in IMAGES)
    print(f"{len(IMAGES)} images, {made} made")
    print(f"{len(metadefs.NAMESPACES)} namespaces, {metadefs.make(connection)} made")


if __name__ == "__main__":
    main(*sys.argv[1:])
