"""Copies images between the clouds a and b with openstacksdk: sdk.py stream|import ID..."""

import sys
import time

import openstack

how, ids = sys.argv[1], sys.argv[2:]
source, target = openstack.connect(cloud="a"), openstack.connect(cloud="b")
record = {"name": "copied", "disk_format": "raw", "container_format": "bare"}

for image in ids:
    if how == "stream":
        data = source.image.download_image(image, stream=True).iter_content(1 << 20)
        target.image.upload_image(data=data, **record)
        continue
    copy = target.image.create_image(allow_duplicates=True, **record)
    target.image.import_image(
        copy,
        method="glance-download",
        remote_region=source.image.region_name or source.config.get_region_name(),
        remote_image_id=image,
        remote_service_interface="public",
    )
    while (copy := target.image.get_image(copy)).status != "active":
        time.sleep(0.1)
