"""Makes images in two clouds: hashless.py DATA SOURCE[-] [TARGET[-]]...

The images have the same id and data in each; Glance forgets the digests in those with a minus.
Prints the id.
"""
import sys

from connection import connect
from drift import forget_digests, make


def main(data, *clouds):
    image = None
    for cloud in clouds:
        name = cloud.removesuffix("-")
        image = make(connect(name), "hashless", data.encode(), image)
        if cloud != name:
            forget_digests(name, image)
    print(image)


if __name__ == "__main__":
    main(*sys.argv[1:])
