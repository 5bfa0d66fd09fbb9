"""Compares the images of two clouds: check.py A B (administrators' entries of clouds.yaml).

Every active or deactivated image of A must be on B, the same by all that an API can tell. Knows
nothing of the tool that copied them. A line for every difference; exit status 1 if there is one.
"""
import sys

from connection import all_images, call, connect

SAME = (
    "size", "checksum", "os_hash_algo", "os_hash_value", "name", "disk_format",
    "container_format", "min_disk", "min_ram", "owner", "visibility", "protected", "os_hidden",
    "status",
)
# What belongs to the Glance and not to the image.
LOCAL = {
    "id", "created_at", "updated_at", "virtual_size", "self", "file", "schema", "stores",
    "direct_url", "locations",
}


def facts(connection, record):
    """All that must be equal, by name."""
    found = {name: record.get(name) for name in SAME}
    found["tags"] = sorted(record["tags"])
    for name, value in record.items():
        if name in LOCAL or name in SAME or name == "tags" or name.startswith("os_glance_"):
            continue
        found[f"property {name!r}"] = value
    if record["visibility"] == "shared":
        answer = call("GET", connection, f"/images/{record['id']}/members").json()
        for member in answer["members"]:
            found[f"member {member['member_id']}"] = member["status"]
    return found


def short(value):
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]}… ({len(text)} characters)"


def compare(left, right):
    for name in sorted(left.keys() | right.keys()):
        if name not in left:
            yield f"{name}: only on B, {short(right[name])}"
        elif name not in right:
            yield f"{name}: only on A, {short(left[name])}"
        elif left[name] != right[name]:
            yield f"{name}: {short(left[name])} on A, {short(right[name])} on B"


def main(a, b):
    a, b = connect(a), connect(b)
    on_b = {record["id"]: record for record in all_images(b)}
    checked = differences = 0
    for record in sorted(all_images(a), key=lambda record: record["id"]):
        if record["status"] not in ("active", "deactivated"):
            continue
        checked += 1
        twin = on_b.get(record["id"])
        lines = ["not on B"] if twin is None else compare(facts(a, record), facts(b, twin))
        for line in lines:
            differences += 1
            print(f"{record['id']} ({record['name']}): {line}")
    print(f"{checked} images checked, {differences} differences")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
