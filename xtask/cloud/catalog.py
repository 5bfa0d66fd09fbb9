"""Fills Keystones: regions, endpoints, projects, users and all they sign in by; writes clouds.yaml.

Called as: catalog.py DIRECTORY SITES, the password of all in CLOUD_SECRET. SITES is JSON: the URL
of each Keystone, and for it those of its Glances by letter. Each gets the same names.
May be run again: what is there already stays, URLs are brought up to date.
"""
import base64
import json
import os
import secrets
import sys
from concurrent.futures import ThreadPoolExecutor

import openstack
import yaml

directory, sites = sys.argv[1], json.loads(sys.argv[2])
secret = os.environ["CLOUD_SECRET"]
ca = os.path.join(directory, "pki", "root.pem")
# The devices that make passcodes for users: their secrets, base32.
devices = {name: base64.b32encode(secrets.token_bytes(20)).decode() for name in ("totp", "mfa")}


class Site:
    """One Keystone and its Glances."""

    def __init__(self, auth_url, glances):
        self.auth_url, self.glances = auth_url, glances
        self.connection = self.connect("admin", "admin")
        self.identity = self.connection.identity
        self.roles = {role.name: role for role in self.identity.roles()}

    def password_auth(self, user, project, domain="Default"):
        return {
            "auth_url": self.auth_url, "username": user, "password": secret,
            "project_name": project, "user_domain_name": domain, "project_domain_name": domain,
        }

    def scoped(self, user, **scope):
        auth = self.password_auth(user, None)
        del auth["project_name"], auth["project_domain_name"]
        return {**auth, **scope}

    def connect(self, user, project):
        return openstack.connect(
            auth=self.password_auth(user, project), cacert=ca,
            # The catalog may be empty or name old ports.
            identity_endpoint_override=self.auth_url, load_yaml_config=False, load_envvars=False)

    def endpoints(self, service_type, name, urls):
        """One URL a region, for all three interfaces."""
        identity = self.identity
        service = next((s for s in identity.services() if s.type == service_type), None)
        service = service or identity.create_service(type=service_type, name=name)
        have = {(e.region_id, e.interface): e for e in identity.endpoints(service_id=service.id)}
        for letter, url in urls.items():
            for interface in ("public", "internal", "admin"):
                endpoint = have.get((region(letter), interface))
                if endpoint is None:
                    identity.create_endpoint(
                        service_id=service.id, interface=interface, region_id=region(letter),
                        url=url)
                elif endpoint.url != url:
                    identity.update_endpoint(endpoint, url=url)

    def project(self, name, domain="default"):
        return self.identity.find_project(name, domain_id=domain) or self.identity.create_project(
            name=name, domain_id=domain)

    def user(self, name, of, *role_names):
        account = self.identity.find_user(name, domain_id=of.domain_id)
        account = account or self.identity.create_user(
            name=name, password=secret, domain_id=of.domain_id)
        for role_name in role_names:
            self.identity.assign_project_role_to_user(of, account, self.roles[role_name])
        return account

    def application_credential(self):
        """The same one by its id, and by its name."""
        owner = self.connection.current_user_id
        for old in self.identity.application_credentials(owner):
            if old.name == "cloud":
                self.identity.delete_application_credential(owner, old)
        made = self.identity.create_application_credential(owner, name="cloud")
        auth = {"auth_url": self.auth_url, "application_credential_secret": made.secret}
        by_id = {**auth, "application_credential_id": made.id}
        by_name = {**auth, "application_credential_name": made.name, "username": "admin",
                   "user_domain_name": "Default"}
        return by_id, by_name

    def has_device(self, account):
        for old in self.identity.credentials(user_id=account.id, type="totp"):
            self.identity.delete_credential(old)
        self.identity.create_credential(
            user_id=account.id, type="totp", blob=devices[account.name])

    def needs_two_factors(self, account):
        options = {"multi_factor_auth_enabled": True,
                   "multi_factor_auth_rules": [["password", "totp"]]}
        answer = self.identity.patch(
            f"/users/{account.id}", json={"user": {"options": options}})
        answer.raise_for_status()

    def trust(self, trustor, trustee, of, role_name):
        """What one user lends another; its id."""
        lender = self.connect(trustor, of)
        me = lender.current_user_id
        for old in lender.identity.trusts(trustor_user_id=me):
            lender.identity.delete_trust(old)
        return lender.identity.create_trust(
            trustor_user_id=me, trustee_user_id=trustee.id, project_id=lender.current_project_id,
            impersonation=True, roles=[{"name": role_name}]).id

    def fill_catalog(self):
        have = {found.id for found in self.identity.regions()}
        for letter in self.glances:
            if region(letter) not in have:
                self.identity.create_region(id=region(letter))
        self.endpoints("identity", "keystone", dict.fromkeys(self.glances, self.auth_url))
        self.endpoints("image", "glance", self.glances)

    def fill(self):
        """Makes everything; gives the entries of clouds.yaml."""
        self.fill_catalog()
        self.user("glance", self.project("service"), "admin", "service")
        proj1 = self.project("proj1")
        self.user("alice", proj1, "member")
        bob = self.user("bob", self.project("proj2"), "member")
        # A project that no other Keystone has: only-a, only-c.
        self.project(f"only-{next(iter(self.glances))}")
        # In another domain, a project with the name of one here.
        partners = self.identity.find_domain("partners")
        partners = partners or self.identity.create_domain(name="partners")
        self.user("carol", self.project("proj1", partners.id), "member")

        self.has_device(self.user("totp", proj1, "member"))
        mfa = self.user("mfa", proj1, "member")
        self.has_device(mfa)
        self.needs_two_factors(mfa)
        self.identity.assign_domain_role_to_user(
            "default", self.connection.current_user_id, self.roles["admin"])
        return self.clouds(self.trust("alice", bob, "proj1", "member"))

    def clouds(self, trust):
        passcode_only = self.password_auth("totp", "proj1")
        del passcode_only["password"]
        appcred, appcred_by_name = self.application_credential()
        for prefix, auth, extra in (
            ("", self.password_auth("admin", "admin"), {}),
            ("alice-", self.password_auth("alice", "proj1"), {}),
            ("bob-", self.password_auth("bob", "proj2"), {}),
            ("carol-", self.password_auth("carol", "proj1", "partners"), {}),
            ("appcred-", appcred, {"auth_type": "v3applicationcredential"}),
            ("appcred-name-", appcred_by_name, {"auth_type": "v3applicationcredential"}),
            # These two lack a passcode, which somebody has to say.
            ("totp-", passcode_only, {"auth_type": "v3totp"}),
            ("mfa-", self.password_auth("mfa", "proj1"),
             {"auth_type": "v3multifactor", "auth_methods": ["v3password", "v3totp"]}),
            ("mfa-password-", self.password_auth("mfa", "proj1"), {}),
            ("trust-", self.scoped("bob", trust_id=trust), {}),
            ("system-", self.scoped("admin", system_scope="all"), {}),
            ("domain-", self.scoped("admin", domain_id="default"), {}),
        ):
            for letter in self.glances:
                yield prefix + letter, {
                    "auth": dict(auth), "region_name": region(letter), "cacert": ca,
                    "identity_api_version": 3, "interface": "public", **extra,
                }

    def project_ids(self):
        domains = {domain.id: domain.name for domain in self.identity.domains()}
        return {f"{domains[p.domain_id]}/{p.name}": p.id for p in self.identity.projects()}


def region(letter):
    return f"Region{letter.upper()}"


def filled(site):
    site = Site(*site)
    return dict(site.fill()), dict.fromkeys(site.glances, site.project_ids())


with ThreadPoolExecutor() as pool:
    all_filled = list(pool.map(filled, sites.items()))
clouds, ids = {}, {}
for of_clouds, of_projects in all_filled:
    clouds |= of_clouds
    ids |= of_projects

os.umask(0o077)
with open(os.path.join(directory, "clouds.yaml"), "w", encoding="utf-8") as file:
    yaml.safe_dump({"clouds": clouds}, file, sort_keys=False)
with open(os.path.join(directory, "totp.json"), "w", encoding="utf-8") as file:
    json.dump(devices, file, indent=1)
with open(os.path.join(directory, "ids.json"), "w", encoding="utf-8") as file:
    json.dump(ids, file, indent=1)
