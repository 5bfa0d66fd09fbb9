"""Compares the metadata definitions of two clouds: judge_metadefs.py SOURCE TARGET.

Knows nothing of the tool that copied them. Prints JSON: {"same": [NAMES], "different": {NAME: {KEY:
{"source": VALUE, "target": VALUE}}}, "missing": [NAMES], "extra": [NAMES]}. A KEY is a field of the
namespace, or what is in it: "properties NAME", "objects NAME", "tags NAME",
"resource_type_associations NAME".
"""
import json
import sys
from urllib.parse import quote

from connection import call, connect, projects

OF_EACH_GLANCE = {"created_at", "updated_at", "self", "schema"}
LISTS = ("objects", "tags", "resource_type_associations")


def own(record):
    return {key: value for key, value in record.items() if key not in OF_EACH_GLANCE}


class Side:
    def __init__(self, cloud):
        self.connection = connect(cloud)
        self.keystone = self.connection.config.get_auth_args()["auth_url"]
        self.projects = {}
        listed = call("GET", self.connection, "/metadefs/namespaces?limit=1000").json()
        self.names = {namespace["namespace"] for namespace in listed["namespaces"]}

    def facts(self, name):
        path = f"/metadefs/namespaces/{quote(name, safe='')}"
        record = own(call("GET", self.connection, path).json())
        found = {}
        for key in LISTS:
            for entry in record.pop(key, []):
                found[f"{key} {entry['name']}"] = own(entry)
        for key, entry in record.pop("properties", {}).items():
            # Glance repeats the name in an entry that was not created together with its namespace.
            found[f"properties {key}"] = {name: value for name, value in entry.items()
                                          if name != "name"}
        record["owner"] = self.projects.get(record["owner"], record["owner"])
        return found | record


def differences(left, right):
    return {key: {"source": left.get(key), "target": right.get(key)}
            for key in sorted(left.keys() | right.keys()) if left.get(key) != right.get(key)}


def main(source, target):
    source, target = Side(source), Side(target)
    if source.keystone != target.keystone:
        for side in (source, target):
            side.projects = projects(side.connection)
    found = {name: differences(source.facts(name), target.facts(name))
             for name in sorted(source.names & target.names)}
    print(json.dumps({
        "same": [name for name, differ in found.items() if not differ],
        "different": {name: differ for name, differ in found.items() if differ},
        "missing": sorted(source.names - target.names),
        "extra": sorted(target.names - source.names),
    }))


if __name__ == "__main__":
    main(*sys.argv[1:])
