"""Compares the images of two clouds: judge.py SOURCE TARGET (administrators' entries of clouds.yaml).

Knows nothing of the tool that copied them. Every image of the source is looked for at the target by
its id, and all that an API can tell of the two is compared; what belongs to a site is left out.
Projects are the same if they have the same name and domain at the two Keystones, or the same id if
there is one Keystone only.

Prints JSON: {"images": {ID: {"name": NAME, "state": "same", "missing" or "different",
"differences": {FIELD: {"source": VALUE, "target": VALUE}}}}, "extra": [IDS]}. A FIELD is that of the
record, or "property NAME", "member PROJECT", "data". A side that lacks it has no VALUE.

--expect FILE: JSON that gives the states of images that need not be the same, by id or name (the
state of an id that only the target has is "extra"). All others have to be the same. Adds
"unexpected", the ids where that does not hold, and exits with 1 if there are any.
"""
import argparse
import hashlib
import json
import sys

from connection import all_images, call, connect, projects

FIELDS = (
    "id", "name", "status", "visibility", "protected", "os_hidden", "disk_format",
    "container_format", "min_disk", "min_ram", "size", "checksum",
)
# Fields of a record that are not properties of the image. They are compared separately, or belong
# to the Glance.
APART = {
    "owner", "tags", "os_hash_algo", "os_hash_value", "virtual_size", "created_at", "updated_at",
    "self", "file", "schema", "stores", "direct_url", "locations",
}
OF_THE_SITE = {
    "instance_uuid", "base_image_ref", "user_id", "owner_id", "owner_project_name",
    "owner_user_name", "image_location", "image_state", "boot_roles",
}


class Side:
    """One of the two clouds."""

    def __init__(self, cloud):
        self.connection = connect(cloud)
        self.keystone = self.connection.config.get_auth_args()["auth_url"]
        self.images = {record["id"]: record for record in all_images(self.connection)}
        self.projects = {}

    def project(self, project_id):
        """What a project is called at every Keystone; as it is here, if it is no project."""
        return self.projects.get(project_id, project_id)

    def members(self, record):
        if record["visibility"] != "shared":
            return {}
        answer = call("GET", self.connection, f"/images/{record['id']}/members").json()
        return {f"member {self.project(member['member_id'])}": member["status"]
                for member in answer["members"]}

    def facts(self, record, ignored):
        """All that must be equal, by field; the digest is compared apart."""
        found = {name: record.get(name) for name in FIELDS}
        found["owner"] = self.project(record["owner"])
        found["tags"] = sorted(record["tags"])
        for name, value in record.items():
            of_the_site = name in OF_THE_SITE or name.startswith("os_glance") or name in ignored
            if name not in FIELDS and name not in APART and not of_the_site:
                found[f"property {name}"] = value
        return found | self.members(record)

    def digest(self, record, algorithm):
        """Of a fresh download, or None where there is no data."""
        digest = hashlib.new(algorithm)
        path = f"/images/{record['id']}/file"
        with call("GET", self.connection, path, stream=True) as answer:
            if answer.status_code == 204:
                return None
            for chunk in answer.iter_content(1 << 20):
                digest.update(chunk)
        return digest.hexdigest()


def differences(left, right):
    """Of two dictionaries, by name."""
    found = {}
    for name in sorted(left.keys() | right.keys()):
        sides = {side: values[name] for side, values in (("source", left), ("target", right))
                 if name in values}
        if len(sides) == 1 or sides["source"] != sides["target"]:
            found[name] = sides
    return found


def digests(source, target, record, twin):
    """The digest that the target recorded, and that of the source by the same algorithm."""
    algorithm = twin["os_hash_algo"]
    if algorithm in (None, record["os_hash_algo"]):
        ours = record["os_hash_value"]
    else:
        ours = source.digest(record, algorithm)
    return {"os_hash_value": ours}, {"os_hash_value": twin["os_hash_value"]}


def judge(source, target, record, options):
    twin = target.images.get(record["id"])
    if twin is None:
        return {"name": record["name"], "state": "missing", "differences": {}}
    pairs = [
        (source.facts(record, options.ignore), target.facts(twin, options.ignore)),
        digests(source, target, record, twin),
    ]
    if options.deep:
        pairs.append(tuple({"data": side.digest(image, "sha512")}
                           for side, image in ((source, record), (target, twin))))
    found = {}
    for left, right in pairs:
        found |= differences(left, right)
    state = "different" if found else "same"
    return {"name": record["name"], "state": state, "differences": found}


def unexpected(result, expected):
    states = {image: (found["name"], found["state"]) for image, found in result["images"].items()}
    states |= {image: (None, "extra") for image in result["extra"]}
    return sorted(image for image, (name, state) in states.items()
                  if state != expected.get(image, expected.get(name, "same")))


def main():
    parser = argparse.ArgumentParser(description="Compares the images of two clouds.")
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("--deep", action="store_true", help="download all data and compare it")
    parser.add_argument("--ignore", action="append", default=[], metavar="PROPERTY",
                        help="a property that may differ")
    parser.add_argument("--expect", metavar="FILE", help="the states that are expected")
    options = parser.parse_args()
    source, target = Side(options.source), Side(options.target)
    if source.keystone != target.keystone:
        for side in (source, target):
            side.projects = projects(side.connection)
    result = {
        "images": {image: judge(source, target, source.images[image], options)
                   for image in sorted(source.images)},
        "extra": sorted(target.images.keys() - source.images.keys()),
    }
    if options.expect:
        with open(options.expect, encoding="utf-8") as file:
            result["unexpected"] = unexpected(result, json.load(file))
    print(json.dumps(result, indent=1))
    return 1 if result.get("unexpected") else 0


if __name__ == "__main__":
    sys.exit(main())
