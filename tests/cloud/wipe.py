"""Empties a Glance: wipe.py CLOUD (an administrator's entry of clouds.yaml).

Deletes every image by the API, then purges the records of deleted images from the database of
`cargo xtask cloud`: until then Glance refuses their ids.
"""
import os
import subprocess
import sys

from connection import PATCH, all_images, call, connect, directory


def delete(connection, record):
    path = f"/images/{record['id']}"
    if record["protected"]:
        patch = [{"op": "replace", "path": "/protected", "value": False}]
        call("PATCH", connection, path, json=patch, headers=PATCH)
    call("DELETE", connection, path, expect=(204, 404))


def purge(region):
    """By glance-manage, first what hangs on the images, then the images themselves."""
    name = f"glance-{region[-1].lower()}"
    config = os.path.join(directory(), "etc", name, "glance-api.conf")
    program = os.path.join(sys.prefix, "bin", "glance-manage")
    for command in ("purge", "purge_images_table"):
        subprocess.run(
            [program, "--config-file", config, "db", command, "--age_in_days", "0",
             "--max_rows", "-1"],
            check=True, stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONWARNINGS": "ignore"})


def main(cloud):
    connection = connect(cloud)
    records = list(all_images(connection))
    for record in records:
        delete(connection, record)
    purge(connection.config.region_name)
    print(f"{len(records)} images removed")


if __name__ == "__main__":
    main(*sys.argv[1:])
