"""Validates Kubernetes manifests against the API's schemas, without unknown fields or unknown kinds.

usage: validate.py VERSION FILE...

Prints the resources of all files as a JSON list.
"""

import json
import sys

import kubernetes_validate
import yaml

version, *files = sys.argv[1:]
resources = []
for name in files:
    with open(name) as file:
        found = list(yaml.safe_load_all(file))
    for resource in found:
        try:
            used = kubernetes_validate.validate(resource, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            place = ".".join(str(step) for step in error.absolute_path)
            sys.exit(f"{name}: {resource['kind']}: {place}: {error.message}")
        # The library uses an older version if it does not have this one.
        if used != version:
            sys.exit(f"the schemas of Kubernetes {version} are not installed, only of {used}")
    resources += found
json.dump(resources, sys.stdout)
