"""Changes the namespaces of metadefs.py at a cloud that has copies of them, and makes one more:
drift_metadefs.py CLOUD [--without NAMESPACE], which it deletes.

drift_metadefs.py --load CLOUD loads those that come with Glance instead, as its administrator does.
"""
import os
import subprocess
import sys

from connection import call, connect, directory

SIZES = "/metadefs/namespaces/CUSTOM::Sizes"
PRIVATE = "/metadefs/namespaces/custom.private"


def drift(connection):
    def write(method, path, document=None):
        call(method, connection, path, json=document)

    write("PUT", SIZES, {"namespace": "CUSTOM::Sizes", "display_name": "Other", "protected": False})
    write("DELETE", f"{SIZES}/properties/kerne")
    write("PUT", f"{SIZES}/properties/zonen", {"name": "zonen", "title": "Other", "type": "string"})
    write("POST", f"{SIZES}/properties", {"name": "surplus", "title": "Mine", "type": "string"})
    write("PUT", f"{SIZES}/objects/leer", {"name": "leer", "description": "not so empty"})
    write("POST", f"{SIZES}/objects", {"name": "surplus"})
    write("DELETE", f"{SIZES}/resource_types/OS::Cinder::Volume")
    write("POST", f"{SIZES}/resource_types", {"name": "OS::Cinder::Volume", "prefix": "other_"})
    write("DELETE", f"{SIZES}/resource_types/OS::Glance::Image")
    write("POST", f"{SIZES}/tags", {"tags": [{"name": "schön"}, {"name": "sürplus"}]})
    # Protected, so that its contents are removed under protection.
    write("PUT", SIZES, {"namespace": "CUSTOM::Sizes", "display_name": "Other", "protected": True})
    write("DELETE", f"{PRIVATE}/tags/internal")
    extra = {"namespace": "only::there", "tags": [{"name": "x"}]}
    call("POST", connection, "/metadefs/namespaces", json=extra, expect=(201, 409))


def load(region):
    name = f"glance-{region[-1].lower()}"
    config = os.path.join(directory(), "etc", name, "glance-api.conf")
    files = os.path.join(sys.prefix, "etc", "glance", "metadefs")
    subprocess.run(
        [os.path.join(sys.prefix, "bin", "glance-manage"), "--config-file", config,
         "db_load_metadefs", files],
        check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONWARNINGS": "ignore"})


if __name__ == "__main__":
    if sys.argv[1] == "--load":
        load(connect(sys.argv[2]).config.region_name)
    else:
        drift(connect(sys.argv[1]))
        for namespace in sys.argv[3:]:
            call("DELETE", connect(sys.argv[1]), f"/metadefs/namespaces/{namespace}")
