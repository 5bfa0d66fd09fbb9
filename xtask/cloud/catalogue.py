"""Fills Keystone: regions, endpoints, projects, users and all they sign in by; writes clouds.yaml.

Called as: catalogue.py DIRECTORY KEYSTONE GLANCE_A GLANCE_B, the password of all in CLOUD_SECRET.
May be run again: what is there already stays, URLs are brought up to date.
"""
import base64
import json
import os
import secrets
import sys

import openstack
import yaml

directory, keystone, glance_a, glance_b = sys.argv[1:]
secret = os.environ["CLOUD_SECRET"]
ca = os.path.join(directory, "pki", "root.pem")
auth_url = keystone + "/v3"


def password_auth(user, project):
    return {
        "auth_url": auth_url, "username": user, "password": secret, "project_name": project,
        "user_domain_name": "Default", "project_domain_name": "Default",
    }


connection = openstack.connect(
    auth=password_auth("admin", "admin"), region_name="RegionA", cacert=ca,
    # The catalogue may name old ports.
    identity_endpoint_override=auth_url, load_yaml_config=False, load_envvars=False,
)
identity = connection.identity


def endpoints(service_type, name, urls):
    """One URL a region, for all three interfaces."""
    service = next((s for s in identity.services() if s.type == service_type), None)
    service = service or identity.create_service(type=service_type, name=name)
    have = {(e.region_id, e.interface): e for e in identity.endpoints(service_id=service.id)}
    for region, url in urls.items():
        for interface in ("public", "internal", "admin"):
            endpoint = have.get((region, interface))
            if endpoint is None:
                identity.create_endpoint(
                    service_id=service.id, interface=interface, region_id=region, url=url)
            elif endpoint.url != url:
                identity.update_endpoint(endpoint, url=url)


def project(name):
    return identity.find_project(name) or identity.create_project(name=name, domain_id="default")


roles = {role.name: role for role in identity.roles()}


def user(name, of, *role_names):
    account = identity.find_user(name) or identity.create_user(
        name=name, password=secret, domain_id="default")
    for role_name in role_names:
        identity.assign_project_role_to_user(of, account, roles[role_name])


def application_credential():
    """The same one by its id, and by its name."""
    owner = connection.current_user_id
    for old in identity.application_credentials(owner):
        if old.name == "cloud":
            identity.delete_application_credential(owner, old)
    made = identity.create_application_credential(owner, name="cloud")
    secret = {"auth_url": auth_url, "application_credential_secret": made.secret}
    by_id = {**secret, "application_credential_id": made.id}
    by_name = {**secret, "application_credential_name": made.name, "username": "admin",
               "user_domain_name": "Default"}
    return by_id, by_name


def totp(name):
    """A device that makes passcodes for a user; its secret, base32."""
    account = identity.find_user(name)
    for old in identity.credentials(user_id=account.id, type="totp"):
        identity.delete_credential(old)
    key = base64.b32encode(secrets.token_bytes(20)).decode()
    identity.create_credential(user_id=account.id, type="totp", blob=key)
    return key


def needs_two_factors(name):
    options = {"multi_factor_auth_enabled": True,
               "multi_factor_auth_rules": [["password", "totp"]]}
    account = identity.find_user(name)
    answer = identity.patch(f"/users/{account.id}", json={"user": {"options": options}})
    answer.raise_for_status()


def trust(trustor, trustee, of, role_name):
    """What one user lends another; its id."""
    lender = openstack.connect(
        auth=password_auth(trustor, of), region_name="RegionA", cacert=ca,
        identity_endpoint_override=auth_url, load_yaml_config=False, load_envvars=False)
    me, other = lender.current_user_id, identity.find_user(trustee).id
    for old in lender.identity.trusts(trustor_user_id=me):
        lender.identity.delete_trust(old)
    return lender.identity.create_trust(
        trustor_user_id=me, trustee_user_id=other, project_id=lender.current_project_id,
        impersonation=True, roles=[{"name": role_name}]).id


def scoped(user, **scope):
    auth = password_auth(user, None)
    del auth["project_name"], auth["project_domain_name"]
    return {**auth, **scope}


regions = {region.id for region in identity.regions()}
for wanted in ("RegionA", "RegionB"):
    if wanted not in regions:
        identity.create_region(id=wanted)
endpoints("identity", "keystone", {"RegionA": auth_url, "RegionB": auth_url})
endpoints("image", "glance", {"RegionA": glance_a, "RegionB": glance_b})
user("glance", project("service"), "admin", "service")
user("alice", project("proj1"), "member")
user("bob", project("proj2"), "member")

user("totp", project("proj1"), "member")
user("mfa", project("proj1"), "member")
needs_two_factors("mfa")
identity.assign_domain_role_to_user("default", connection.current_user_id, roles["admin"])
devices = {name: totp(name) for name in ("totp", "mfa")}
passcode_only = password_auth("totp", "proj1")
del passcode_only["password"]
appcred, appcred_by_name = application_credential()

clouds = {}
for prefix, auth, extra in (
    ("", password_auth("admin", "admin"), {}),
    ("alice-", password_auth("alice", "proj1"), {}),
    ("bob-", password_auth("bob", "proj2"), {}),
    ("appcred-", appcred, {"auth_type": "v3applicationcredential"}),
    ("appcred-name-", appcred_by_name, {"auth_type": "v3applicationcredential"}),
    # These two lack a passcode, which somebody has to say.
    ("totp-", passcode_only, {"auth_type": "v3totp"}),
    ("mfa-", password_auth("mfa", "proj1"),
     {"auth_type": "v3multifactor", "auth_methods": ["v3password", "v3totp"]}),
    ("mfa-password-", password_auth("mfa", "proj1"), {}),
    ("trust-", scoped("bob", trust_id=trust("alice", "bob", "proj1", "member")), {}),
    ("system-", scoped("admin", system_scope="all"), {}),
    ("domain-", scoped("admin", domain_id="default"), {}),
):
    for letter, region in (("a", "RegionA"), ("b", "RegionB")):
        clouds[prefix + letter] = {
            "auth": dict(auth), "region_name": region, "cacert": ca,
            "identity_api_version": 3, "interface": "public", **extra,
        }

os.umask(0o077)
with open(os.path.join(directory, "clouds.yaml"), "w", encoding="utf-8") as file:
    yaml.safe_dump({"clouds": clouds}, file, sort_keys=False)
with open(os.path.join(directory, "totp.json"), "w", encoding="utf-8") as file:
    json.dump(devices, file, indent=1)
with open(os.path.join(directory, "ids.json"), "w", encoding="utf-8") as file:
    json.dump({p.name: p.id for p in identity.projects()}, file, indent=1)
