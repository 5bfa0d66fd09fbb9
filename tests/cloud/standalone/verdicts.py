"""What Glance's own code says to images: verdicts.py FILE.

FILE has for each image its size (8 bytes, big-endian), the length of its disk_format (1 byte), the
disk_format, and the data. A line per image: ok, or why it is refused.
"""
import io
import logging
import sys
import types

from glance.common import config, exception  # noqa: F401  (registers the options)
from glance.location import ImageProxy

READ = 65536  # as a store of files reads


class Image(ImageProxy):
    """The image as the store sees it, without a store."""

    def __init__(self, disk_format):
        self.context = None
        self.image = types.SimpleNamespace(
            container_format="bare", disk_format=disk_format, extra_properties={},
            status="saving")

    def _upload_to_store(self, data, verifier, backend, size):
        while data.read(READ):
            pass


def verdict(disk_format, data):
    try:
        Image(disk_format).set_data(io.BytesIO(data), len(data))
    except exception.InvalidImageData as refusal:
        return " ".join(str(refusal).split())
    return "ok"


def main(path):
    logging.disable(logging.CRITICAL)
    with open(path, "rb") as file:
        while size := file.read(8):
            disk_format = file.read(file.read(1)[0]).decode()
            print(verdict(disk_format, file.read(int.from_bytes(size, "big"))))


if __name__ == "__main__":
    main(*sys.argv[1:])
