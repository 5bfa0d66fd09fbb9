"""Makes a Glance one that the suites can be run at, or leaves none of it behind.

Called as: prepare.py up|down CLOUD DIRECTORY REGION URL. CLOUD is the directory of `cargo xtask cloud`,
whose Keystone has the region or gets it. Writes tempest.conf and clouds.yaml into DIRECTORY. URL is that
of the Glance, or - for one that is in the catalog already. May be run again.
"""
import json
import os
import sys

import openstack
import yaml

action, cloud, directory, region, url = sys.argv[1:]
os.umask(0o077)

# The clouds of `cargo xtask cloud` by what they are here.
USERS = {"admin": "a", "user": "alice-a", "other": "bob-a", "system": "system-a"}
# openstacksdk's tests want one by such a name.
IMAGE = "ubuntu-interop"

with open(os.path.join(cloud, "clouds.yaml"), encoding="utf-8") as file:
    known = yaml.safe_load(file)["clouds"]
clouds = {name: {**known[of], "region_name": region} for name, of in USERS.items()}
with open(os.path.join(directory, "clouds.yaml"), "w", encoding="utf-8") as file:
    yaml.safe_dump({"clouds": clouds}, file)
connection = openstack.connect(
    load_yaml_config=False, load_envvars=False,
    **{**clouds["admin"], "region_name": region if url == "-" else known["a"]["region_name"]})


def tempest():
    auth = clouds["admin"]["auth"]
    sections = {
        "oslo_concurrency": {"lock_path": os.path.join(directory, "lock")},
        "auth": {
            "admin_username": auth["username"], "admin_password": auth["password"],
            "admin_project_name": auth["project_name"], "admin_domain_name": "Default",
        },
        "identity": {
            "auth_version": "v3", "uri_v3": auth["auth_url"],
            "ca_certificates_file": clouds["admin"]["cacert"],
            "region": known["a"]["region_name"],
        },
        # Of other formats Glance takes no bytes that are not of them.
        "image": {
            "region": region, "container_formats": "bare", "disk_formats": "raw",
            "build_timeout": "20",
        },
        "image-feature-enabled": {
            "image_format_enforcement": "false", "http_store_enabled": "false",
            "do_secure_hash": "false",
        },
        "service_available": {
            "glance": "true", "nova": "false", "neutron": "false", "cinder": "false",
            "swift": "false", "horizon": "false",
        },
        "DEFAULT": {"log_file": os.path.join(directory, "tempest.log")},
    }
    with open(os.path.join(directory, "tempest.conf"), "w", encoding="utf-8") as file:
        for name, values in sections.items():
            lines = "".join(f"{key} = {value}\n" for key, value in values.items())
            file.write(f"[{name}]\n{lines}")


def in_catalog():
    """Puts the region into the catalog: the Glance, and the Keystone as in every region."""
    connection.identity.create_region(id=region)
    urls = {"image": url, "identity": clouds["admin"]["auth"]["auth_url"]}
    for service in connection.identity.services():
        for interface in ("public", "internal", "admin"):
            connection.identity.create_endpoint(
                service_id=service.id, interface=interface, region_id=region,
                url=urls[service.type])


def out_of_catalog():
    for endpoint in connection.identity.endpoints(region_id=region):
        connection.identity.delete_endpoint(endpoint)
    connection.identity.delete_region(region, ignore_missing=True)


def at_glance():
    return openstack.connect(load_yaml_config=False, load_envvars=False, **clouds["admin"]).image


def remove_image():
    glance = at_glance()
    for image in list(glance.images(name=IMAGE)):
        glance.delete_image(image)


def up():
    tempest()
    if url != "-":
        out_of_catalog()
        in_catalog()
    else:
        remove_image()
        remove_seed()
        with open(os.path.join(directory, "seed.json"), encoding="utf-8") as file:
            made = connection.image.post("/metadefs/namespaces", json=json.load(file))
        made.raise_for_status()
    at_glance().create_image(
        name=IMAGE, visibility="public", disk_format="raw", container_format="bare", data=b"any")


def remove_seed():
    connection.image.delete("/metadefs/namespaces/Interop::Seed")


def down():
    if url == "-":
        remove_image()
        remove_seed()
    else:
        out_of_catalog()


up() if action == "up" else down()
