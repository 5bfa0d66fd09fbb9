"""Brings two clouds out of step: drift.py SOURCE TARGET, after a sync from the one to the other.

Makes a case of every state that a replica can have, and prints JSON: the id of each, by state.
drift.py --undo CLOUD ID... deletes images.
"""
import configparser
import json
import os
import sys
import uuid

import sqlalchemy

from connection import PATCH, all_images, call, connect, directory

OCTETS = {"Content-Type": "application/octet-stream"}


def make(connection, name, data=None, image=None):
    image = image or str(uuid.uuid4())
    record = {"id": image, "name": name, "disk_format": "raw", "container_format": "bare",
              "visibility": "private"}
    call("POST", connection, "/images", json=record)
    if data is not None:
        call("PUT", connection, f"/images/{image}/file", data=data, headers=OCTETS)
    return image


def patch(connection, image, **fields):
    changes = [{"op": "replace", "path": f"/{name}", "value": value}
               for name, value in fields.items()]
    call("PATCH", connection, f"/images/{image}", json=changes, headers=PATCH)


def forget_digests(cloud, image):
    """As Glance has it for images that it never read: copies on write, added locations."""
    config = configparser.RawConfigParser(strict=False)
    config.read(os.path.join(directory(), "etc", f"glance-{cloud}", "glance-api.conf"))
    engine = sqlalchemy.create_engine(config["database"]["connection"])
    forget = ("UPDATE images SET checksum = NULL, os_hash_algo = NULL, os_hash_value = NULL "
              "WHERE id = :id")
    with engine.begin() as database:
        assert database.execute(sqlalchemy.text(forget), {"id": image}).rowcount == 1


def drift(source_name, target_name):
    source, target = connect(source_name), connect(target_name)
    seeded = {record["name"]: record["id"] for record in all_images(source)}
    found = {
        "same": seeded["qcow2-v3"],
        "metadata": seeded["raw-64k"],
        "members": seeded["shared-in-all-states"],
        "status": seeded["hidden"],
        "missing": make(source, "drift: missing", b"missing"),
        "extra": make(target, "drift: extra", b"extra"),
        "content": make(source, "drift: content", b"one"),
        "partial": make(source, "drift: partial", b"partial"),
        "unverifiable": make(source, "drift: unverifiable", b"unverifiable"),
        "skipped": seeded["encrypted"],
    }
    patch(target, found["metadata"], min_ram=7)
    members = f"/images/{found['members']}/members"
    first = call("GET", target, members).json()["members"][0]["member_id"]
    call("DELETE", target, f"{members}/{first}")
    patch(target, found["status"], os_hidden=False)
    make(target, "drift: content", b"two", found["content"])
    make(target, "drift: partial", None, found["partial"])
    make(target, "drift: unverifiable", b"unverifiable", found["unverifiable"])
    forget_digests(source_name, found["unverifiable"])
    return found


def main(first, *rest):
    if first == "--undo":
        cloud = connect(rest[0])
        for image in rest[1:]:
            call("DELETE", cloud, f"/images/{image}", expect=(204, 404))
    else:
        print(json.dumps(drift(first, *rest)))


if __name__ == "__main__":
    main(*sys.argv[1:])
