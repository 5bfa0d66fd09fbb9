"""Changes nothing of an image but the time of its last change: touch.py CLOUD ID."""
import sys

from connection import PATCH, call, connect


def main(cloud, image):
    connection = connect(cloud)
    for change in ({"op": "add", "path": "/touched", "value": "1"},
                   {"op": "remove", "path": "/touched"}):
        call("PATCH", connection, f"/images/{image}", json=[change], headers=PATCH)


if __name__ == "__main__":
    main(*sys.argv[1:])
