"""Configurations that openstacksdk and glance-core have to understand alike.

A case that names a `difference` is one that they don't: the text is the reason, `ours` is what
glance-core does instead, laid over openstacksdk's outcome (RFC 7396), or a part of its error.
"""

CASES = []


def case(name, clouds=None, *, files=None, env=None, cloud="a", region=None, difference=None,
         ours=None):
    files = dict(files or {})
    if clouds is not None:
        files["work/clouds.yaml"] = clouds
    CASES.append({"name": name, "files": files, "env": env or {}, "cloud": cloud, "region": region,
                  "difference": difference, "ours": ours})


def cloud(*lines, auth="", kind=None):
    """A clouds.yaml with the cloud `a`: a user with a password, or only what is given."""
    user = "auth_url: 'https://ks:5000/v3', username: u, password: p, user_domain_name: U"
    auth = auth if kind else f"{user}, {auth or 'project_name: pr, project_domain_name: P'}"
    kind = [f"auth_type: {kind}"] if kind else []
    lines = [*kind, "auth: {%s}" % auth, *lines]
    return "clouds:\n  a:\n" + "".join(f"    {line}\n" for line in lines)



def outcome(body, kind="application/json", url="https://ks:5000/v3/auth/tokens"):
    """What glance-core makes of a case that says little, and sends this body."""
    return {
        "region": None, "interfaces": ["public"], "endpoint": "https://public.r1.g/image",
        "verify": True, "cacert": None, "cert": None, "key": None,
        "retries": {"connect": None, "connect_delay": None, "status": 5, "status_delay": None,
                    "status_codes": None},
        "requests": [{"method": "POST", "url": url, "type": kind, "authorization": None,
                      "body": body}],
        "headers": {"x-auth-token": "keystone-token"},
    }


def by_password(password):
    user = {"name": "u", "domain": {"name": "U"}, "password": password}
    return outcome({"auth": {"identity": {"methods": ["password"], "password": {"user": user}},
                             "scope": {"project": {"name": "pr", "domain": {"name": "P"}}}}})


BY_TOKEN = outcome({"auth": {"identity": {"methods": ["token"], "token": {"id": "t"}},
                             "scope": {"project": {"name": "pr", "domain": {"name": "P"}}}}})
USER = "username: u, password: p, user_domain_name: U, "
PROJECT = "project_name: pr, project_domain_name: P"
KS = "auth_url: 'https://ks:5000/v3', "
ENV = {"OS_AUTH_URL": "https://ks:5000/v3", "OS_USERNAME": "eu", "OS_PASSWORD": "ep",
       "OS_PROJECT_NAME": "epr", "OS_USER_DOMAIN_NAME": "EU", "OS_PROJECT_DOMAIN_NAME": "EP"}
FEDERATED = KS + "identity_provider: idp, protocol: openid, "
CLIENT = (FEDERATED + "client_id: me, client_secret: hush, "
          "access_token_endpoint: 'https://idp/token', ")

# Files and their locations.
case("a-password", cloud())
case("yml", files={"work/clouds.yml": cloud()})
case("json", files={"work/clouds.json": '{"clouds": {"a": {"auth": {'
     '"auth_url": "https://ks:5000/v3", "username": "u", '
     '"password": "p\\/\\u00e4", "user_domain_name": "U"}, "verify": true}}}'})
case("yaml-before-json", cloud("region_name: R1"),
     files={"work/clouds.json": '{"clouds": {"a": {}}}'})
case("working-directory-before-user", cloud("region_name: R1"),
     files={"home/.config/openstack/clouds.yaml": cloud("region_name: R2")})
case("user", files={"home/.config/openstack/clouds.yaml": cloud("region_name: R2")})
case("xdg-before-home", files={"xdg/openstack/clouds.yaml": cloud("region_name: R3"),
     "home/.config/openstack/clouds.yaml": cloud("region_name: R2")},
     env={"XDG_CONFIG_HOME": "$ROOT/xdg"})
case("home-behind-xdg", files={"home/.config/openstack/clouds.yaml": cloud("region_name: R2")},
     env={"XDG_CONFIG_HOME": "$ROOT/xdg"})
case("site", files={"site/openstack/clouds.yaml": cloud("region_name: R2")},
     env={"XDG_CONFIG_DIRS": "$ROOT/site"})
case("second-site", files={"site2/openstack/clouds.yaml": cloud("region_name: R2")},
     env={"XDG_CONFIG_DIRS": "$ROOT/site:$ROOT/site2"},
     difference="openstacksdk joins the directories to one name that does not exist",
     ours={**by_password("p"), "region": "R2", "endpoint": "https://public.r2.g/image"})
case("snap", files={"real/.config/openstack/clouds.yaml": cloud("region_name: R2"),
     "home/.config/openstack/clouds.yaml": cloud("region_name: R1")},
     env={"SNAP_REAL_HOME": "$ROOT/real", "XDG_CONFIG_HOME": "$ROOT/none"})
case("named-file", cloud("region_name: R1"), files={"other.yaml": cloud("region_name: R2")},
     env={"OS_CLIENT_CONFIG_FILE": "$ROOT/other.yaml"})
case("named-file-is-missing", cloud(), env={"OS_CLIENT_CONFIG_FILE": "$ROOT/none.yaml"},
     difference="a typo in the name of a file must not select another cloud",
     ours={"error": "OS_CLIENT_CONFIG_FILE"})
case("named-file-by-tilde", cloud("region_name: R1"),
     files={"home/other.yaml": cloud("region_name: R2")},
     env={"OS_CLIENT_CONFIG_FILE": "~/other.yaml"},
     difference="openstacksdk does not know `~` here, and takes the next file",
     ours={**by_password("p"), "region": "R2", "endpoint": "https://public.r2.g/image"})
case("named-file-empty", cloud(), env={"OS_CLIENT_CONFIG_FILE": ""})
case("broken-file", "clouds: [", files={"home/.config/openstack/clouds.yaml": cloud()},
     difference="the next file can mean another cloud by the same name",
     ours={"error": "clouds.yaml: line 2"})
case("empty-file", "")
case("no-map", "just a word")
case("no-such-cloud", cloud(), cloud="b")
case("no-file")

case("empty-cloud", "clouds: {a: }")
case("empty-auth", "clouds: {a: {auth: }}")
case("clouds-is-a-list", "clouds: [a]")
case("no-clouds", "other: 1")
case("other-sections", cloud("networks: [{name: n}]", "identity_api_version: 3", "anything: [1]",
     "floating_ip_source: none") + "client: {force_ipv4: true}\ncache: {auth: true}\n")

# secure.yaml.
case("secure", cloud(auth="project_id: x").replace("password: p, ", ""),
     files={"work/secure.yaml": "clouds: {a: {auth: {password: s}}}"})
case("secure-elsewhere", cloud(),
     files={"home/.config/openstack/secure.yml": "clouds: {a: {auth: {password: s}}}"})
case("secure-named", cloud(), files={"s.json": '{"clouds": {"a": {"auth": {"password": "s"}}}}'},
     env={"OS_CLIENT_SECURE_FILE": "$ROOT/s.json"})
case("secure-is-missing", cloud(), env={"OS_CLIENT_SECURE_FILE": "$ROOT/none.yaml"},
     difference="as for OS_CLIENT_CONFIG_FILE", ours={"error": "OS_CLIENT_SECURE_FILE"})
case("secure-alone", files={"work/secure.yaml": cloud()})
case("secure-is-deep", cloud("image_interface: admin"),
     files={"work/secure.yaml": "clouds: {a: {image_interface: internal, auth: {username: s}}}"})
case("secure-null-takes-away", cloud("cacert: /ca.pem"),
     files={"work/secure.yaml": "clouds: {a: {cacert: null}}"})

# Profiles.
PUBLIC = ("public-clouds:\n  v:\n    auth: {auth_url: 'https://ks:5000/v3', user_domain_name: V}\n"
          "    interface: internal\n    regions: [R2, R3]\n")
MINE = "clouds: {a: {profile: v, auth: {username: u, password: p, project_id: x}%s}}"
case("profile", MINE % "", files={"work/clouds-public.yaml": PUBLIC})
case("profile-by-its-old-word", (MINE % "").replace("profile:", "cloud:"),
     files={"work/clouds-public.yaml": PUBLIC})
case("profile-region", MINE % "", region="R3", files={"work/clouds-public.yaml": PUBLIC})
case("profile-region-unknown", MINE % "", region="R1", files={"work/clouds-public.yaml": PUBLIC})
case("profile-elsewhere", MINE % "", files={"home/.config/openstack/clouds-public.yml": PUBLIC})
case("cloud-over-profile", MINE % ", interface: admin, region_name: R1",
     files={"work/clouds-public.yaml": PUBLIC})
case("profile-unknown", cloud("profile: none"),
     difference="settings would be missing without a word",
     ours={"error": "clouds-public.yaml"})
case("profile-built-in", "clouds: {a: {profile: switchengines, image_endpoint: 'https://g', auth: {"
     + USER + PROJECT + "}}}",
     difference="the vendors' addresses age with openstacksdk's releases and are not carried",
     ours={"error": "switchengines"})

# Regions.
REGIONS = "regions: [R1, {name: R2, values: {image_interface: admin, auth: {project_name: other}}}]"
case("region-name", cloud("region_name: R2"))
case("region-name-asked-for", cloud("region_name: R2"), region="R2")
case("region-name-other", cloud("region_name: R2"), region="R1")
case("region-free", cloud(), region="R3")
case("regions-first", cloud(REGIONS))
case("regions-second", cloud(REGIONS), region="R2")
case("regions-unknown", cloud(REGIONS), region="R3")
case("regions-over-region-name", cloud(REGIONS, "region_name: R3"))
case("region-list-by-comma", cloud("region_name: 'R2,R1'"), region="R1")
case("region-values-null", cloud("regions: [{name: R1, values: {cacert: null}}]", "cacert: /ca"))
case("region-with-more", cloud("regions: [{name: R1, other: 1}]"))
case("regions-empty", cloud("regions: []"), region="R3")
case("regions-empty-and-a-name", cloud("regions: []", "region_name: R2"),
     difference="a list of nothing does not take away the region that the cloud names",
     ours={"region": "R2", "endpoint": "https://public.r2.g/image"})
case("region-name-empty", cloud("region_name: ''"))
NULL_REGION = "openstacksdk breaks off (AttributeError) where a null says nothing, as elsewhere"
case("region-name-null", cloud("region_name: null"), difference=NULL_REGION,
     ours=by_password("p"))
case("region-name-null-asked-for", cloud("region_name: null"), region="R2",
     difference=NULL_REGION,
     ours={**by_password("p"), "region": "R2", "endpoint": "https://public.r2.g/image"})
case("region-cacert", cloud("regions: [R1, {name: R2, values: {cacert: /ca.pem}}]"), region="R2")
case("region-cacert-over-its-clouds", cloud("regions: [{name: R2, values: {cacert: /r2.pem}}]",
     "cacert: /ca.pem"))
case("region-verify-true", cloud("regions: [{name: R2, values: {verify: true}}]"))
case("region-case", cloud("region_name: R1"), region="r1")
case("image-region", cloud("region_name: R1", "image_region_name: R2"))

# Keys.
case("dashes", cloud("region-name: R2", "image-interface: admin",
     auth="project-name: pr, project-domain-name: P"))
case("dashes-in-auth-type", "clouds: {a: {auth-type: v3token, auth: {" + KS + "token: t, "
     + PROJECT + "}}}",
     difference="openstacksdk's default for `auth_type` hides the spelling with a dash",
     ours=BY_TOKEN)
case("both-spellings", cloud("region_name: R1", "region-name: R2"),
     difference="one key said twice is an error in any spelling", ours={"error": "twice"})
case("tenant", cloud(auth="tenant_name: t, project_domain_name: P"))
case("tenant-and-project", cloud(auth="tenant_id: t, project_id: x"))
case("project-outside-auth", cloud("project_name: outer"))
case("username-outside-auth", cloud("username: outer"))
case("user-name", "clouds: {a: {auth: {user_name: u, password: p, user_domain_id: d, "
     "auth_url: 'https://ks:5000/v3'}}}")
case("password-outside-auth", "clouds: {a: {password: outer, auth: {username: u, "
     "user_domain_name: U, auth_url: 'https://ks:5000/v3'}}}")
case("domain-for-both", cloud(auth="project_name: pr, domain_name: D")
     .replace(", user_domain_name: U", ""))
case("domain-id-for-both", cloud(auth="project_name: pr, domain_id: d")
     .replace(", user_domain_name: U", ""))
case("domain-and-own", cloud(auth="project_name: pr, domain_name: D, project_domain_id: p"))
case("default-domain", cloud(auth="project_name: pr, default_domain_name: D")
     .replace(", user_domain_name: U", ""))
case("user-without-domain", cloud().replace(", user_domain_name: U", ""),
     difference="Keystone knows no user by a name alone; this error names the key that is missing",
     ours={"error": "user_domain_name"})
case("user-id", cloud(auth="user_id: id, project_id: x").replace("username: u, ", ""))
case("endpoint-type", cloud("endpoint_type: internalURL", "region_name: R1"))
case("endpoint-type-and-interface", cloud("interface: admin", "endpoint_type: internal"))
case("interface-list", cloud("interface: [internal, public]", "region_name: R2"))
case("image-interface-list", cloud("image_interface: [internalURL, public]"))
case("interface-null", cloud("interface: null"),
     difference="openstacksdk then takes any interface, an internal or an admin one by chance",
     ours={"interfaces": ["public"], "endpoint": "https://public.r1.g/image"})
case("interface-by-comma", cloud("interface: 'internal,public'"))
case("interface-in-capitals", cloud("interface: Internal"))
case("image-interface-over-list", cloud("interface: [internal]", "image_interface: admin"))
case("auth-plugin", "clouds: {a: {auth_plugin: v3token, auth: {" + KS + "token: t, "
     + PROJECT + "}}}",
     difference="openstacksdk's default for `auth_type` hides its old name", ours=BY_TOKEN)
case("unknown-in-auth", cloud(auth="projekt_name: x"))
case("service-name", cloud("image_service_name: glance", "region_name: R1"))
case("service-type", cloud("image_service_type: image-cache"))
case("api-version", cloud("image_api_version: 2", "region_name: R3"))
case("override", cloud("image_endpoint_override: 'https://g/image/v2'"))
case("override-by-its-short-name", cloud("image_endpoint: 'https://g/image/'"))
case("trust-files", cloud("cacert: ~/ca.pem", "cert: ~/c.pem", "key: /k.pem"))
case("certificate-with-its-key", cloud("cert: /c.pem"))
case("retries", cloud("image_status_code_retries: 3", "image_status_code_retry_delay: 0.5",
     "image_connect_retries: 2", "image_connect_retry_delay: 1.5",
     "image_retriable_status_codes: [429, 503]"))
case("retries-for-all", cloud("connect_retries: 2", "retriable_status_codes: '502, 503'"))
case("status-retries-for-all", cloud("status_code_retries: 1"),
     difference="openstacksdk's own default for images hides what the cloud says for all services",
     ours={"retries": {"status": 1}})
case("format-auth-url", cloud("region_name: R1").replace("//ks", "//{region_name}.ks"))
case("format-override", cloud("region_name: R1",
     "image_endpoint_override: 'https://g/{region_name}'"))
case("format-unknown", cloud().replace("//ks", "//{nothing}.ks"))
case("braces-in-a-password", cloud().replace("password: p", "password: 'p{x}'"))

# YAML.
TEXT = "openstacksdk reads YAML 1.1 and turns the text into "


for name, password, other in [
    ("octal", "0123", "another number"), ("sexagesimal", "12:34:56", "seconds"),
    ("underscore", "1_000", "another number"), ("float", "1.10", "another number"),
    ("yes", "yes", "a truth value"), ("date", "2024-01-01", "a date"),
]:
    case(f"password-{name}", cloud().replace("password: p", f"password: {password}"),
         difference=TEXT + other, ours=by_password(password))
case("password-number", cloud().replace("password: p", "password: 123"))
case("password-exponent", cloud().replace("password: p", "password: 1e3"))
case("password-quoted", cloud().replace("password: p", "password: '0123'"))
case("password-null-word", cloud().replace("password: p", "password: 'null'"))
case("password-literal", cloud().replace("password: p", '"password": !!str 0123'))
case("password-empty", cloud().replace("password: p", "password: ''"))
case("password-block", "clouds:\n  a:\n    auth:\n      auth_url: https://ks:5000/v3\n"
     "      username: u\n      user_domain_id: d\n      password: |\n        line\n")
case("json-surrogates", files={"work/clouds.json": '{"clouds": {"a": {"auth": {"user_id": "u", '
     '"auth_url": "https://ks:5000/v3", "password": "p\\ud83d\\udd11"}}}}'})
case("json-compact", files={"work/clouds.json": '{"clouds":{"a":{"auth":{"user_id":12,'
     '"auth_url":"https://ks:5000/v3","password":"null"},"verify":null}}}'})
case("json-duplicate", files={"work/clouds.json": '{"clouds": {"a": {"auth": {"user_id": "u", '
     '"auth_url": "https://ks:5000/v3", "password": "p", "password": "q"}}}}'},
     difference="as in YAML", ours={"error": "twice"})
case("json-tabs", files={"work/clouds.json": '{\n\t"clouds": {\n\t\t"a": {"auth": {"user_id": 1, '
     '"auth_url": "https://ks:5000/v3",\n\t"password": "p"}}}}\n'})
case("password-missing", cloud().replace("password: p, ", ""))
case("password-unicode", cloud().replace("password: p", 'password: "p\\u00e4\\U0001F511"'))
case("merge-key", "x: &x {region_name: R2, interface: admin}\n"
     "clouds: {a: {<<: *x, interface: internal, auth: {" + KS + USER + PROJECT + "}}}")
case("merge-list", "x: &x {region_name: R2}\ny: &y {region_name: R1, interface: admin}\n"
     "clouds: {a: {<<: [*x, *y], auth: {" + KS + USER + PROJECT + "}}}")
case("alias", "x: &x {" + KS + USER + PROJECT + "}\nclouds: {a: {auth: *x}}")
case("duplicate-key", cloud("region_name: R1", "region_name: R2"),
     difference="of two values one is a mistake, and the right one is unknown",
     ours={"error": "twice"})
case("number-as-project", cloud(auth="project_id: 12"))
case("number-as-cloud", cloud().replace("  a:", "  123:"), cloud="123",
     difference="a name is text; openstacksdk makes a number of it, and then finds no such cloud",
     ours=by_password("p"))
case("number-as-cloud-quoted", cloud().replace("  a:", "  '123':"), cloud="123")
case("tag-of-another-program", cloud().replace("password: p", "password: !vault p"))
case("tag-on-a-map", cloud().replace("auth: {", "auth: !include {"))
case("tag-on-a-key", cloud().replace("password: p", "!secret password: p"))
case("tag-by-its-address", cloud().replace("password: p",
     "password: !<tag:yaml.org,2002:str> 0123"))
case("tag-for-text", cloud().replace("password: p", "password: ! 0123"),
     difference=TEXT + "another number", ours=by_password("0123"))
case("tag-for-null", cloud("cacert: !!null x"))
case("tag-for-binary", cloud().replace("password: p", "password: !!binary cA=="))
case("tag-for-a-date", cloud().replace("password: p", "password: !!timestamp 2024-01-01"))
case("tag-for-a-number", cloud().replace("password: p", "password: !!int 12"))
case("two-documents", cloud() + "---\n" + cloud("region_name: R2"))
case("json-long-number", files={"work/clouds.json": '{"clouds": {"a": {"auth": {"user_id": "u", '
     '"auth_url": "https://ks:5000/v3", "password": 12345678901234567890123}}}}'},
     difference="a number of that length is not kept exactly; in quotes it is",
     ours={"error": "quotes"})

# Verification.
NO_WAY = "there is no insecure mode; a file that asks for it must not seem to get it"
case("verify-true", cloud("verify: true", "insecure: false"))
case("verify-yes", cloud("verify: yes"))
for key, value in [("verify", "false"), ("verify", "no"), ("insecure", "true"), ("insecure", "on")]:
    case(f"{key}-{value}", cloud(f"{key}: {value}"), difference=NO_WAY,
         ours={"error": "no insecure mode"})
case("verify-quoted-false", cloud("verify: 'False'"),
     difference="openstacksdk takes it for the name of a CA file",
     ours={"error": "no insecure mode"})
case("verify-quoted-off", cloud('verify: "off"'),
     difference="as for 'False'", ours={"error": "no insecure mode"})
case("region-verify-false", cloud("regions: [{name: R2, values: {verify: false}}]"),
     difference=NO_WAY, ours={"error": "no insecure mode"})
case("insecure-quoted-yes", cloud("insecure: 'yes'"), difference=NO_WAY,
     ours={"error": "no insecure mode"})
case("verify-path", cloud("verify: /ca.pem"),
     difference="it is meant for truth values; a CA is named by cacert",
     ours={"error": "neither true nor false"})

# The environment.
case("environment", env=ENV, cloud="envvars")
case("environment-by-default", env=ENV, cloud=None)
case("environment-renamed", env={**ENV, "OS_CLOUD_NAME": "mine"}, cloud="mine")
case("environment-clash", cloud(), env={**ENV, "OS_CLOUD_NAME": "a"})
case("environment-and-a-cloud", cloud(), env={**ENV, "OS_CACERT": "/ca", "OS_REGION_NAME": "R2"})
case("environment-before-the-only-cloud", cloud(), env=ENV, cloud=None)
case("environment-of-selectors-only", cloud(), env={"OS_REGION_NAME": "R2"}, cloud=None)
case("os-cloud", cloud(), env={"OS_CLOUD": "a"}, cloud=None)
case("os-cloud-before-environment", cloud(), env={**ENV, "OS_CLOUD": "a"}, cloud=None)
case("only-cloud", cloud(), cloud=None)
case("several-clouds", cloud() + "  b: {}\n", cloud=None)
case("environment-region", env={**ENV, "OS_REGION_NAME": "R2", "OS_INTERFACE": "internal"},
     cloud="envvars")
case("environment-endpoint-type", env={**ENV, "OS_ENDPOINT_TYPE": "adminURL"}, cloud="envvars")
case("environment-tenant", env={**ENV, "OS_TENANT_NAME": "old"}, cloud="envvars")
case("environment-trust-files", env={**ENV, "OS_CACERT": "~/ca", "OS_CERT": "/c", "OS_KEY": "/k"},
     cloud="envvars")
case("environment-insecure", env={**ENV, "OS_INSECURE": "1"}, cloud="envvars",
     difference="openstacksdk ignores any word but `true`; who sets it wants what there is not",
     ours={"error": "no insecure mode"})
case("environment-insecure-and-a-cloud", cloud(), env={"OS_INSECURE": "1"})
case("environment-insecure-and-a-cloud-and-more", cloud(), env={**ENV, "OS_INSECURE": "true"})
case("environment-empty-variable", env={**ENV, "OS_AUTH_TYPE": "", "OS_REGION_NAME": ""},
     cloud="envvars",
     difference="an empty variable counts as unset, as for most programs",
     ours={**by_password("ep"), "requests": [{**by_password("ep")["requests"][0], "body": {"auth": {
         "identity": {"methods": ["password"], "password": {"user": {
             "name": "eu", "password": "ep", "domain": {"name": "EU"}}}},
         "scope": {"project": {"name": "epr", "domain": {"name": "EP"}}}}}}]})
case("environment-empty-choice", cloud(), env={"OS_CLOUD": ""}, cloud=None)
case("environment-others", env={**ENV, "OS_TEST_X": "1", "OS_STDOUT": "1", "OS_LOG": "1"},
     cloud="envvars")
case("environment-of-tests-only", cloud(), env={"OS_TEST_PATH": "x"}, cloud="envvars")
case("environment-image", env={**ENV, "OS_IMAGE_ENDPOINT_OVERRIDE": "https://g:9292",
     "OS_IMAGE_API_VERSION": "2"}, cloud="envvars")
case("environment-domain-scope", env={"OS_AUTH_URL": "https://ks:5000/v3", "OS_USERNAME": "eu",
     "OS_PASSWORD": "ep", "OS_USER_DOMAIN_NAME": "EU", "OS_DOMAIN_NAME": "ED"}, cloud="envvars")
case("environment-system-scope", env={"OS_AUTH_URL": "https://ks:5000/v3", "OS_USERNAME": "eu",
     "OS_PASSWORD": "ep", "OS_USER_DOMAIN_ID": "d", "OS_SYSTEM_SCOPE": "all"}, cloud="envvars")
case("environment-token", env={"OS_AUTH_TYPE": "token", "OS_AUTH_URL": "https://ks:5000/v3",
     "OS_TOKEN": "t", "OS_PROJECT_ID": "x"}, cloud="envvars")
case("environment-auth-token", env={"OS_AUTH_TYPE": "v3token", "OS_PROJECT_ID": "x",
     "OS_AUTH_URL": "https://ks:5000/v3", "OS_AUTH_TOKEN": "t"}, cloud="envvars")
case("environment-application-credential", env={"OS_AUTH_TYPE": "v3applicationcredential",
     "OS_AUTH_URL": "https://ks/identity", "OS_APPLICATION_CREDENTIAL_ID": "i",
     "OS_APPLICATION_CREDENTIAL_SECRET": "s"}, cloud="envvars")

# Signing in.
case("v3password", cloud(kind="v3password", auth=KS + USER + PROJECT))
case("auth-url-without-version", cloud(kind="v3password",
     auth="auth_url: 'https://ks/identity/', " + USER + PROJECT))
case("unscoped", cloud(auth=" "))
case("unscoped-said", cloud(kind="v3password", auth=KS + USER + "unscoped: true"))
case("domain-scope", cloud(auth="domain_name: D"))
case("system-scope", cloud(auth="system_scope: all"))
case("system-scope-of-a-part", cloud(auth="system_scope: part"))
case("trust", cloud(auth="trust_id: t"))
case("two-scopes", cloud(auth="project_id: x, system_scope: all"))
case("v3token", cloud(kind="v3token", auth=KS + "token: t, " + PROJECT))
case("token", cloud(kind="token", auth=KS + "token: t, domain_id: d"))
case("application-credential", cloud(kind="v3applicationcredential",
     auth=KS + "application_credential_id: i, application_credential_secret: s"))
case("application-credential-by-name", cloud(kind="v3applicationcredential", auth=KS
     + "application_credential_name: n, application_credential_secret: s, username: u, "
     "user_domain_id: d"))
case("application-credential-nameless", cloud(kind="v3applicationcredential",
     auth=KS + "application_credential_secret: s"))
case("totp", cloud(kind="v3totp", auth=KS + "username: u, user_domain_name: U, passcode: 012345, "
     .replace("012345", "'012345'") + PROJECT))
case("multifactor", cloud("auth_methods: [v3password, v3totp]", kind="v3multifactor",
     auth=KS + USER + "passcode: '012345', " + PROJECT))
case("multifactor-by-comma", cloud("auth_methods: 'v3password,v3totp'", kind="v3multifactor",
     auth=KS + USER + "passcode: '012345', " + PROJECT))
case("multifactor-without", cloud(kind="v3multifactor", auth=KS + USER + PROJECT))
NO_TOKEN = {"difference": "openstacksdk sends the token `notused`, which proves nothing",
            "ours": {"headers": {"x-auth-token": None}}}
case("none", cloud(kind="none", auth="endpoint: 'https://g/image'"), **NO_TOKEN)
case("none-by-null", cloud("auth_type: null", kind="x", auth="endpoint: 'https://g'")
     .replace("    auth_type: x\n", ""), **NO_TOKEN)
case("none-with-override", cloud("image_endpoint_override: 'https://h'", kind="none",
     auth="endpoint: 'https://g'"), **NO_TOKEN)
case("http-basic", cloud(kind="http_basic",
     auth="username: u, password: 'p:q', endpoint: 'https://g'"))
case("admin-token", cloud(kind="admin_token", auth="token: t, endpoint: 'https://g/v2'"))
case("token-endpoint", cloud(kind="token_endpoint", auth="token: t, endpoint: 'https://g'"))
case("admin-token-url", cloud(kind="admin_token", auth="token: t, url: 'https://g'"))
case("oidc-password", cloud(kind="v3oidcpassword", auth=CLIENT + "username: u, password: 'p&q=ä', "
     + PROJECT))
FEDERATION = "https://ks:5000/v3/OS-FEDERATION/identity_providers/idp/protocols/openid/auth"
PUBLIC_CLIENT = outcome({"grant_type": "password", "username": "u", "password": "p",
                         "scope": "openid profile", "client_id": "me"},
                        "application/x-www-form-urlencoded", "https://idp/token")
PUBLIC_CLIENT["headers"] = {"x-auth-token": "unscoped-token"}
PUBLIC_CLIENT["requests"].append({"method": "POST", "url": FEDERATION, "type": None, "body": None,
                                  "authorization": "Bearer access"})
case("oidc-password-public-client", cloud(kind="v3oidcpassword",
     auth=(CLIENT + "username: u, password: p").replace("client_secret: hush, ", "")),
     difference="RFC 6749, section 2.1, has clients without a secret", ours=PUBLIC_CLIENT)
case("oidc-client-credentials", cloud(kind="v3oidcclientcredentials",
     auth=CLIENT + "openid_scope: openid email, " + PROJECT))
case("oidc-client-credentials-without-secret", cloud(kind="v3oidcclientcredentials",
     auth=CLIENT.replace("client_secret: hush, ", "") + PROJECT))
case("oidc-discovered", cloud(kind="v3oidcclientcredentials", auth=CLIENT.replace(
     "access_token_endpoint: 'https://idp/token'",
     "discovery_endpoint: 'https://idp/.well-known/openid-configuration'") + PROJECT))
case("oidc-without-endpoint", cloud(kind="v3oidcclientcredentials", auth=CLIENT.replace(
     "access_token_endpoint: 'https://idp/token', ", "") + PROJECT))
case("oidc-id-token", cloud(kind="v3oidcclientcredentials",
     auth=CLIENT + "access_token_type: id_token, system_scope: all"))
case("oidc-access-token", cloud(kind="v3oidcaccesstoken",
     auth=FEDERATED + "access_token: mine, project_id: x"))
DEVICE = CLIENT + "device_authorization_endpoint: 'https://idp/device', " + PROJECT
case("oidc-device", cloud(kind="v3oidcdeviceauthz", auth=DEVICE))
case("oidc-device-pkce", cloud(kind="v3oidcdeviceauthz",
     auth=DEVICE + ", code_challenge_method: S256"))
case("oidc-device-plain", cloud(kind="v3oidcdeviceauthz",
     auth=DEVICE + ", code_challenge_method: plain"),
     difference="a challenge that is the verifier itself protects nothing",
     ours={"error": "S256"})
case("oauth2", cloud(kind="v3oauth2clientcredential", auth=KS + "oauth2_client_id: i, "
     "oauth2_client_secret: s, oauth2_endpoint: 'https://ks:5000/v3/OS-OAUTH2/token'"))

# Features that this tool does not have.
case("no-kerberos", cloud(kind="v3kerberos", auth=KS + PROJECT))
case("no-such-type", cloud(kind="v3nothing", auth=KS + PROJECT))
case("saml", cloud(kind="v3adfspassword", auth=FEDERATED + USER + PROJECT
     + ", identity_provider_url: 'https://idp', service_provider_endpoint: 'https://sp', "
     "service_provider_entity_id: x"))
