"""Fills Keystone: regions' endpoints, projects, users; writes clouds.yaml and ids.json.

Arguments: the directory, then the base URLs of Keystone, Glance A and Glance B.
The password of every account comes by CLOUD_SECRET.
"""
import json
import os
import sys

import openstack
import yaml

DIRECTORY, KEYSTONE, *GLANCES = sys.argv[1:]
SECRET = os.environ["CLOUD_SECRET"]
CA = os.path.join(DIRECTORY, "pki/root.pem")
AUTH_URL = KEYSTONE + "/v3"


def auth(user, project):
    return dict(auth_url=AUTH_URL, username=user, password=SECRET, project_name=project,
                user_domain_name="Default", project_domain_name="Default")


def connect(user, project):
    return openstack.connect(auth=auth(user, project), region_name="RegionA", cacert=CA,
                             load_yaml_config=False, load_envvars=False)


def catalogue(identity):
    service = next((s for s in identity.services() if s.type == "image"), None)
    service = service or identity.create_service(type="image", name="glance")
    present = {(e.region_id, e.interface): e for e in identity.endpoints(service_id=service.id)}
    for region, url in zip(("RegionA", "RegionB"), GLANCES):
        for interface in ("public", "internal", "admin"):
            endpoint = present.get((region, interface))
            if endpoint is None:
                identity.create_endpoint(service_id=service.id, interface=interface,
                                         region_id=region, url=url)
            elif endpoint.url != url:
                identity.update_endpoint(endpoint, url=url)


def accounts(identity):
    roles = {role.name: role for role in identity.roles()}
    for user, project, names in (("glance", "service", ("admin", "service")),
                                 ("alice", "proj1", ("member",)),
                                 ("bob", "proj2", ("member",))):
        found = (identity.find_project(project)
                 or identity.create_project(name=project, domain_id="default"))
        account = (identity.find_user(user)
                   or identity.create_user(name=user, password=SECRET, domain_id="default"))
        for name in names:
            identity.assign_project_role_to_user(found, account, roles[name])


def application_credential(connection):
    identity, user = connection.identity, connection.current_user_id
    for old in identity.application_credentials(user):
        if old.name == "cloud":
            identity.delete_application_credential(user, old)
    made = identity.create_application_credential(user, name="cloud")
    return dict(auth_url=AUTH_URL, application_credential_id=made.id,
                application_credential_secret=made.secret)


def clouds(credential):
    made = {}
    for letter, region in (("a", "RegionA"), ("b", "RegionB")):
        common = dict(region_name=region, cacert=CA, identity_api_version=3, interface="public")
        made[letter] = dict(common, auth=auth("admin", "admin"))
        made["alice-" + letter] = dict(common, auth=auth("alice", "proj1"))
        made["bob-" + letter] = dict(common, auth=auth("bob", "proj2"))
        made["appcred-" + letter] = dict(common, auth=credential,
                                         auth_type="v3applicationcredential")
    return {"clouds": made}


admin = connect("admin", "admin")
catalogue(admin.identity)
accounts(admin.identity)
os.umask(0o077)
with open(os.path.join(DIRECTORY, "clouds.yaml"), "w") as file:
    # Plain copies: YAML anchors are not for everyone.
    yaml.safe_dump(json.loads(json.dumps(clouds(application_credential(admin)))), file,
                   sort_keys=False)
with open(os.path.join(DIRECTORY, "ids.json"), "w") as file:
    json.dump({project.name: project.id for project in admin.identity.projects()}, file, indent=1)
