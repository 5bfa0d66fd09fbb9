"""Judges the rounds of a sweep, one after another: sweep.py SOURCE TARGET NAMES... (of images of the source).

Reads a word a line and answers each with a line of JSON, [WHOLE, COMPLAINTS]: how many of the images are
whole at the target, and what is wrong, in words.

look   what can be seen at this moment must be what the source has
judge  the target must have all images, the same in every way, and the data itself (as judge.py says)
dump DIRECTORY, whole DIRECTORY   the same of a dump's files; the second wants all of them
"""
import hashlib
import json
import os
import sys
import types

from judge import APART, Side, judge

# The stamp properties of `sync`.
STAMP = ["glance_replicator.source", "glance_replicator.source_id", "glance_replicator.new_id"]
OPTIONS = types.SimpleNamespace(ignore=STAMP, deep=True)


def has_data(record):
    return record["status"] in ("active", "deactivated")


class Target(Side):
    """The target anew, over the connection that is there."""

    def __init__(self, earlier, images):
        self.connection, self.keystone, self.projects = (
            earlier.connection, earlier.keystone, earlier.projects)
        found = (self.connection.image.request(f"/images/{i}", "GET", raise_exc=False)
                 for i in images)
        self.images = {record.json()["id"]: record.json() for record in found
                       if record.status_code == 200}


def is_seen(target, record):
    """Whether others than the owner see it. Without members, no other project sees it (unshared.py)."""
    if record["visibility"] == "shared":
        return bool(target.members(record))
    return record["visibility"] != "private"


def look(source, target):
    seen = [record for record in target.images.values() if is_seen(target, record)]
    wrong = [f"{record['id']} can be seen and is {record['status']}" for record in seen
             if record["os_hash_value"] != source.images[record["id"]]["os_hash_value"]]
    return sum(map(has_data, target.images.values())), wrong


def compare(source, target, images):
    found = {image: judge(source, target, source.images[image], OPTIONS) for image in images}
    wrong = [f"{image} is {verdict['state']}: {verdict['differences']}"
             for image, verdict in found.items() if verdict["state"] != "same"]
    return len(images) - len(wrong), wrong


def in_dump(source, directory, image):
    """What is wrong with an image's files, or None."""
    record = source.images[image]
    try:
        with open(os.path.join(directory, f"{image}.json"), encoding="utf-8") as file:
            kept = json.load(file)
        with open(os.path.join(directory, f"{image}.img"), "rb") as file:
            digest = hashlib.file_digest(file, record["os_hash_algo"]).hexdigest()
    except FileNotFoundError as missing:
        return f"{image}: {missing}"
    ours = {name: record.get(name) for name in record if name not in APART}
    theirs = {name: kept["image"].get(name) for name in ours}
    # Glance lists tags in arbitrary order.
    ours["tags"], theirs["tags"] = sorted(record["tags"]), sorted(kept["image"].get("tags", []))
    members = {f"member {m['member_id']}": m["status"] for m in kept["members"]}
    differ = [name for name in ours if ours[name] != theirs[name]]
    if digest != record["os_hash_value"] or members != source.members(record):
        differ.append("data or members")
    return f"{image}: {differ}" if differ else None


def dump(source, directory, images, want_all):
    wrong = list(filter(None, (in_dump(source, directory, image) for image in images)))
    return len(images) - len(wrong), wrong if want_all else []


def main(source, target, *names):
    source, target = Side(source), Side(target)
    images = [i for i, record in source.images.items() if record["name"] in names]
    assert len(images) == len(names), "every name is that of one image"
    for line in sys.stdin:
        word, _, rest = line.strip().partition(" ")
        if word in ("dump", "whole"):
            answer = dump(source, rest, images, word == "whole")
        elif word == "look":
            answer = look(source, Target(target, images))
        else:
            answer = compare(source, Target(target, images), images)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
