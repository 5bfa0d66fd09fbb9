"""Makes namespaces of metadata definitions on a cloud: metadefs.py CLOUD, as seed.py does too."""
import sys

from connection import call, connect, projects

NAMESPACES = [
    {
        # ASCII only: Glance accepts a non-ASCII name, but never finds it again.
        "namespace": "CUSTOM::Sizes",
        "display_name": "Größen und Fähigkeiten 漢字",
        "description": "Was ein Gast braucht: „alles“ ½ € ≠ ∞",
        "visibility": "public", "protected": True,
        "resource_type_associations": [
            {"name": "OS::Glance::Image"},
            {"name": "OS::Nova::Flavor", "prefix": "größe:"},
            {"name": "OS::Cinder::Volume", "prefix": "size_", "properties_target": "image"},
        ],
        "properties": {
            "klasse": {"title": "Klasse", "type": "string", "enum": ["klein", "groß", "大"],
                       "default": "klein", "description": "So groß ist er"},
            "kennung": {"title": "Kennung", "type": "string", "pattern": "^[a-zß-ü]+$",
                        "minLength": 1, "maxLength": 40, "readonly": True},
            "kerne": {"title": "Kerne", "type": "integer", "minimum": 1, "maximum": 512,
                      "default": 2, "operators": ["<or>", "<in>"]},
            "anteil": {"title": "Anteil", "type": "number", "minimum": 0, "maximum": 100},
            "schnell": {"title": "Schnell?", "type": "boolean", "default": False},
            "zonen": {"title": "Zonen", "type": "array", "items": {"type": "string"},
                      "uniqueItems": True, "minItems": 1, "maxItems": 3},
        },
        "objects": [
            {"name": "Gehäuse", "description": "Was darum ist", "required": ["farbe"],
             "properties": {
                 "farbe": {"title": "Farbe", "type": "string", "enum": ["rot", "grün"]},
                 "gewicht": {"title": "Gewicht", "type": "number"}}},
            {"name": "leer", "description": "", "required": [], "properties": {}},
        ],
        "tags": [{"name": "schön"}, {"name": "日本語"}, {"name": "with space"}],
    },
    {
        "namespace": "custom.private",
        "display_name": "Only for us",
        "visibility": "private", "protected": False, "owner": "Default/proj1",
        "resource_type_associations": [{"name": "OS::Glance::Image", "prefix": "our_"}],
        "properties": {
            "level": {"title": "Level", "type": "string", "default": "gold"},
        },
        "objects": [],
        "tags": [{"name": "internal"}],
    },
]


def make(connection):
    """Makes the namespaces that are not there; says how many."""
    have = call("GET", connection, "/metadefs/namespaces?limit=1000").json()["namespaces"]
    have = {namespace["namespace"] for namespace in have}
    missing = [one for one in NAMESPACES if one["namespace"] not in have]
    ids = {name: project for project, name in projects(connection).items()}
    for namespace in missing:
        if "owner" in namespace:
            namespace = {**namespace, "owner": ids[namespace["owner"]]}
        call("POST", connection, "/metadefs/namespaces", json=namespace)
    return len(missing)


if __name__ == "__main__":
    print(f"{len(NAMESPACES)} namespaces, {make(connect(*sys.argv[1:]))} made")
