"""A connection to a cloud of clouds.yaml, with nothing taken from the environment but its path."""
import os
import sys

for _name in list(os.environ):
    # REQUESTS_CA_BUNDLE would override the cacert of clouds.yaml, and OS_* would be merged into it.
    if _name.lower().endswith("_proxy") or _name in (
        "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE",
    ) or (_name.startswith("OS_") and _name != "OS_CLIENT_CONFIG_FILE"):
        del os.environ[_name]
# This Python belongs to `cargo xtask cloud`, whose clouds.yaml is next to the environment.
os.environ.setdefault(
    "OS_CLIENT_CONFIG_FILE", os.path.join(os.path.dirname(sys.prefix), "clouds.yaml"))

import openstack  # noqa: E402  (reads the environment)

PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}


def connect(cloud):
    return openstack.connect(cloud=cloud)


def directory():
    """Where `cargo xtask cloud` keeps everything."""
    return os.path.dirname(os.environ["OS_CLIENT_CONFIG_FILE"])


def projects(connection):
    """The name of each project by its id, with the domain: `Default/proj1`."""
    identity = connection.identity
    domains = {domain.id: domain.name for domain in identity.domains()}
    return {p.id: f"{domains[p.domain_id]}/{p.name}" for p in identity.projects()}


def call(method, connection, path, expect=(200, 201, 202, 204), **arguments):
    """One call of the image API; any other status than expected ends the program."""
    answer = connection.image.request(path, method, raise_exc=False, **arguments)
    if answer.status_code not in expect:
        sys.exit(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
    return answer


def all_images(connection):
    """Every image there is, hidden or not, whosever it is."""
    for hidden in ("false", "true"):
        path = f"/images?visibility=all&os_hidden={hidden}&limit=1000"
        while path:
            page = call("GET", connection, path).json()
            yield from page["images"]
            # The link begins with the API version, which the connection adds again.
            path = page.get("next", "").removeprefix("/v2")
