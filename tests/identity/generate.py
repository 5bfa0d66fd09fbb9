"""What openstacksdk makes of each configuration in cases.py: `generate.py > expected.json`.

Every case is resolved by openstacksdk itself in a process of its own, signs in to a server double,
and its requests are written down. The suite `identity` runs the same cases through glance-core and
compares. `generate.py --check expected.json` fails when openstacksdk now says something else.
"""
import importlib
import json
import os
import re
import sys
import tempfile
import urllib.parse

import keystoneauth1.loading
import keystoneauth1.session
import requests
from openstack.config import loader

from cases import CASES

CATALOG = [
    {"type": "compute", "name": "nova", "endpoints": [
        {"interface": "public", "region_id": "R1", "region": "R1", "url": "https://n.r1/v2.1"}]},
    {"type": "image", "name": "glance", "endpoints": [
        {"interface": interface, "region_id": region, "region": region,
         "url": f"https://{interface}.{region.lower()}.g/image/v2/"}
        for region in ("R1", "R2", "R3") for interface in ("admin", "internal", "public")]},
    {"type": "image-cache", "name": "other", "endpoints": [
        {"interface": "public", "region_id": "R1", "region": "R1", "url": "https://other.g"}]},
]
TOKEN = {"token": {"methods": ["password"], "user": {"id": "u", "name": "u", "domain": {
    "id": "d", "name": "D"}}, "issued_at": "2024-01-01T00:00:00.000000Z",
    "expires_at": "2999-01-01T00:00:00.000000Z", "catalog": CATALOG}}
PROVIDER = {"token_endpoint": "https://idp/token",
            "device_authorization_endpoint": "https://idp/device"}
ACCESS = {"access_token": "access", "id_token": "identity", "token_type": "Bearer",
          "expires_in": 3600}
CODES = {"device_code": "device-code", "user_code": "WDJB-MJHT", "expires_in": 600, "interval": 5,
         "verification_uri": "https://idp/activate"}
RANDOM = ("code_challenge", "code_verifier")


class Double(requests.adapters.BaseAdapter):
    """Keystone and an identity provider in one, which write down what they are asked to grant."""

    def __init__(self):
        super().__init__()
        self.requests = []

    def send(self, request, **_):
        status, headers, answer = self.answer(request)
        response = requests.Response()
        response.status_code = status
        response.headers.update(headers)
        response.headers["Content-Type"] = "application/json"
        response._content = json.dumps(answer).encode()
        response.url = request.url
        response.request = request
        return response

    def answer(self, request):
        path = urllib.parse.urlsplit(request.url).path
        if request.method == "GET" and path.endswith("openid-configuration"):
            return 200, {}, PROVIDER
        if request.method == "GET":
            base = re.sub(r"/v3/?$", "", request.url.rstrip("/"))
            version = {"id": "v3.14", "status": "stable", "links": [
                {"rel": "self", "href": f"{base}/v3/"}]}
            return 300, {}, {"versions": {"values": [version]}}
        self.requests.append(written_down(request))
        if path.endswith("/auth/tokens"):
            return 201, {"X-Subject-Token": "keystone-token"}, TOKEN
        if "/OS-FEDERATION/" in path:
            return 201, {"X-Subject-Token": "unscoped-token"}, TOKEN
        return 200, {}, CODES if path.endswith("/device") else ACCESS

    def close(self):
        pass


def written_down(request):
    kind = request.headers.get("Content-Type")
    body = request.body or b""
    body = body.decode() if isinstance(body, bytes) else body
    if kind == "application/json":
        body = json.loads(body)
    elif body:
        pairs = urllib.parse.parse_qsl(body, keep_blank_values=True, strict_parsing=True)
        body = {name: "*" if name in RANDOM else value for name, value in pairs}
    return {"method": request.method, "url": request.url, "type": kind, "body": body or None,
            "authorization": request.headers.get("Authorization")}


def resolve(case):
    """What openstacksdk makes of a case; run in a process that may be spoiled."""
    importlib.reload(loader)  # looks at the environment while it is loaded
    region = loader.OpenStackConfig().get_one(cloud=case["cloud"], region_name=case["region"])
    verify, cert = region.get_requests_verify_args()
    cert, key = cert if isinstance(cert, tuple) else (cert, None)
    interfaces = region.get_interface("image")
    interfaces = [interfaces] if isinstance(interfaces, str) else interfaces
    double = Double()
    session = requests.Session()
    session.mount("https://", double)
    session.mount("http://", double)
    session = keystoneauth1.session.Session(auth=region.get_auth(), session=session)
    headers = session.get_auth_headers() or {}
    override = region.get_endpoint("image")
    endpoint = override or session.auth.get_endpoint(
        session, service_type=region.get_service_type("image"), interface=interfaces,
        region_name=region.get_region_name("image"), skip_discovery=True,
        service_name=region.get_service_name("image"))
    return {
        "region": region.get_region_name("image") or None,
        "interfaces": [re.sub("URL$", "", interface) for interface in interfaces or []],
        "endpoint": endpoint and re.sub(r"/v\d[\d.]*/?$", "", endpoint).rstrip("/"),
        "verify": verify if isinstance(verify, bool) else True,
        "cacert": verify if isinstance(verify, str) else None,
        "cert": cert,
        "key": key,
        "retries": {
            "connect": region.get_connect_retries("image"),
            "connect_delay": region.get_connect_retry_delay("image"),
            "status": region.get_status_code_retries("image"),
            "status_delay": region.get_status_code_retry_delay("image"),
            "status_codes": region.get_retriable_status_codes("image"),
        },
        "requests": double.requests,
        "headers": {name.lower(): value for name, value in headers.items()},
    }


def run(case):
    """Runs a case in a process of its own, with nothing but the case's files and variables."""
    with tempfile.TemporaryDirectory() as root:
        for path, text in case["files"].items():
            path = os.path.join(root, path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as file:
                file.write(text.replace("$ROOT", root))
        for directory in ("work", "home"):
            os.makedirs(os.path.join(root, directory), exist_ok=True)
        receive, send = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(receive)
            answer = in_child(case, root).replace(root, "$ROOT")
            with os.fdopen(send, "w") as pipe:
                pipe.write(answer)
            os._exit(0)
        os.close(send)
        with os.fdopen(receive) as pipe:
            answer = pipe.read()
        os.waitpid(child, 0)
        return json.loads(answer)


def in_child(case, root):
    os.environ.clear()
    os.environ["HOME"] = os.path.join(root, "home")
    for name, value in case["env"].items():
        os.environ[name] = value.replace("$ROOT", root)
    os.chdir(os.path.join(root, "work"))
    sys.stderr = open(os.devnull, "w")
    os.dup2(sys.stderr.fileno(), 2)
    try:
        return json.dumps(resolve(case))
    except BaseException as error:
        return json.dumps({"error": type(error).__name__})


def document():
    names = [case["name"] for case in CASES]
    assert len(names) == len(set(names)), "two cases have the same name"
    answers = {"token": TOKEN, "provider": PROVIDER, "access": ACCESS, "codes": CODES}
    cases = [{**case, "openstacksdk": run(case)} for case in CASES]
    kinds = sorted(keystoneauth1.loading.get_available_plugin_names())
    everything = {"answers": answers, "auth_types": kinds, "cases": cases}
    return json.dumps(everything, indent=1, ensure_ascii=False) + "\n"


def main():
    if len(sys.argv) == 1:
        sys.stdout.write(document())
    elif len(sys.argv) == 3 and sys.argv[1] == "--check":
        with open(sys.argv[2]) as file:
            before = json.load(file)
        now = json.loads(document())
        if before != now:
            pairs = zip(before["cases"], now["cases"])
            changed = [new["name"] for old, new in pairs if old != new]
            sys.exit(f"openstacksdk says something else than {sys.argv[2]}: "
                     f"{', '.join(changed) or 'other cases or auth types'}; run generate.py again")
    else:
        sys.exit(__doc__)


main()
