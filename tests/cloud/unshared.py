"""Has a user make shared images without members, and private: unshared.py OWNER OTHER, two
clouds of users of different projects. Fails unless the other user sees neither, in any way."""
import sys

from connection import call, connect

LISTS = ("", "?visibility=shared", "?member_status=all", "?visibility=all&member_status=all")


def main(owner, other):
    owner, other = connect(owner), connect(other)
    for visibility in ("shared", "private"):
        record = {"name": visibility, "visibility": visibility, "disk_format": "raw",
                  "container_format": "bare"}
        image = call("POST", owner, "/images", json=record).json()["id"]
        try:
            call("PUT", owner, f"/images/{image}/file", data=b"x" * 512,
                 headers={"Content-Type": "application/octet-stream"})
            call("GET", owner, f"/images/{image}")
            for path in (f"/images/{image}", f"/images/{image}/file"):
                call("GET", other, path, expect=(404,))
            for query in LISTS:
                shown = call("GET", other, f"/images{query}").json()["images"]
                if image in (one["id"] for one in shown):
                    sys.exit(f"{visibility}: shown by {query!r}")
        finally:
            call("DELETE", owner, f"/images/{image}")


if __name__ == "__main__":
    main(*sys.argv[1:])
