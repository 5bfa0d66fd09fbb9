"""Makes varied images on a cloud: seed.py CLOUD (an administrator's entry of clouds.yaml).

The same images every time. What is there already stays, what was interrupted is finished.
"""
import sys
import uuid

from connection import call, connect
from formats import MIB, iso, noise, noise_chunks, qcow2, vmdk

PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
OCTETS = {"Content-Type": "application/octet-stream"}
LONG = "".join(f"{i:05d} äöü 漢字 " for i in range(4000))[:60000]


def image(key, data=None, *, disk_format="raw", container_format="bare", visibility="private",
          owner="admin", members=None, protected=False, deactivated=False, **record):
    """`data`: a function giving bytes or chunks; without it the image stays a record."""
    record = {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"cloud-seed/{key}")), "name": key,
        "disk_format": disk_format, "container_format": container_format,
        "visibility": visibility, **record,
    }
    return record, data, owner, members or {}, protected, deactivated


def raw(size, seed):
    return lambda: noise(size, seed)


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
    image("container", raw(30000, 20), container_format="docker"),
    # Visibilities and members.
    image("shared-with-nobody", raw(100, 30), visibility="shared", owner="proj1"),
    image("shared-pending", raw(101, 31), visibility="shared", owner="proj1",
          members={"proj2": "pending"}),
    image("shared-accepted", raw(102, 32), visibility="shared", owner="proj1",
          members={"proj2": "accepted"}),
    image("shared-rejected", raw(103, 33), visibility="shared", owner="proj2",
          members={"proj1": "rejected"}),
    image("shared-with-many", lambda: qcow2(2, 34), disk_format="qcow2", visibility="shared",
          members={"proj1": "accepted", "proj2": "rejected", "service": "pending",
                   "no-such-project": "accepted"}),
    image("community-of-proj2", raw(104, 35), visibility="community", owner="proj2"),
    # Hidden, protected, deactivated, and all at once.
    image("hidden", raw(200, 40), os_hidden=True, visibility="public"),
    image("hidden-of-proj1", raw(201, 41), os_hidden=True, owner="proj1"),
    image("protected", raw(202, 42), protected=True),
    image("deactivated", raw(203, 43), deactivated=True),
    image("deactivated-public", lambda: iso(1, 44), disk_format="iso", deactivated=True,
          visibility="public"),
    image("everything-at-once", lambda: vmdk(1, 45), disk_format="vmdk", visibility="shared",
          owner="proj2", members={"proj1": "accepted"}, protected=True, deactivated=True,
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
    # Records without data.
    image("queued", disk_format="qcow2", visibility="public"),
    image("queued-bare", disk_format=None, container_format=None, owner="proj1", tags=["later"]),
]


def finish(connection, projects, spec):
    """Brings one image to its end state; says whether anything was to do."""
    record, data, owner, members, protected, deactivated = spec
    path = f"/images/{record['id']}"
    answer = call("GET", connection, path, expect=(200, 404))
    changed = answer.status_code == 404
    if changed:
        answer = call("POST", connection, "/images", json={**record, "owner": projects[owner]})
    now = answer.json()
    if data and now["status"] == "queued":
        call("PUT", connection, f"{path}/file", data=data(), headers=OCTETS)
        now = call("GET", connection, path).json()
        changed = True
    if record["visibility"] == "shared":
        have = call("GET", connection, f"{path}/members").json()["members"]
        have = {member["member_id"]: member["status"] for member in have}
        for name, status in members.items():
            project = projects.get(name, name)
            if project not in have:
                call("POST", connection, f"{path}/members", json={"member": project})
            if have.get(project, "pending") != status:
                call("PUT", connection, f"{path}/members/{project}", json={"status": status})
            changed |= have.get(project) != status
    if protected and not now["protected"]:
        patch = [{"op": "replace", "path": "/protected", "value": True}]
        call("PATCH", connection, path, json=patch, headers=PATCH)
        changed = True
    if deactivated and now["status"] == "active":
        call("POST", connection, f"{path}/actions/deactivate")
        changed = True
    return changed


def main(cloud):
    connection = connect(cloud)
    projects = {project.name: project.id for project in connection.identity.projects()}
    made = sum(finish(connection, projects, spec) for spec in IMAGES)
    print(f"{len(IMAGES)} images, {made} made")


if __name__ == "__main__":
    main(*sys.argv[1:])
