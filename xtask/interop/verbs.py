"""Has glanceclient and `openstack image` do all that they can at one Glance.

Called as: verbs.py LINES DIRECTORY IDS. DIRECTORY has the clouds.yaml whose `admin` signs in, and takes
the files that are made; IDS are those of projects, by `cargo xtask cloud`. What is done stands in LINES,
see there. Prints a line of JSON for each verb.
"""
import io
import json
import os
import re
import shlex
import sys
import uuid
from importlib.metadata import entry_points

import glanceclient.shell
import glanceclient.v2.shell
import openstackclient.shell
import yaml

lines, directory, ids = sys.argv[1:]


def known():
    """All that the two clients can do with images."""
    for name in dir(glanceclient.v2.shell):
        if name.startswith("do_"):
            yield "glance " + name.removeprefix("do_").replace("_", "-")
    for entry in entry_points(group="openstack.image.v2"):
        yield "openstack " + entry.name.replace("_", " ")


def run_with(words, names):
    try:
        return run([word.format(**names) for word in words])
    except KeyError as error:
        return False, f"there is no {error}"


def run(words):
    """Runs a client in a process of its own; gives whether it succeeded, and what it said."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.dup2(writer, 1)
        os.dup2(writer, 2)
        os._exit(ended(words))
    os.close(writer)
    said = io.open(reader, encoding="utf-8", errors="replace").read()
    _, status = os.waitpid(child, 0)
    return status == 0, said


def ended(words):
    # Without a terminal, glanceclient takes standard input for an image's data.
    _, terminal = os.openpty()
    os.dup2(terminal, 0)
    sys.stdin = open(0, encoding="utf-8", closefd=False)
    try:
        if words[0] == "glance":
            glanceclient.shell.OpenStackImagesShell().main(words[1:])
            code = 0
        else:
            code = openstackclient.shell.main(words[1:])
    except SystemExit as error:
        code = error.code
    except Exception as error:  # what a user would see as a traceback
        print(repr(error))
        code = 1
    sys.stdout.flush()
    return 0 if code in (0, None) else 1


def verb_of(words, verbs):
    """The longest verb that the words begin with."""
    for length in range(len(words), 1, -1):
        name = " ".join(words[:length])
        if name in verbs:
            return name
    raise SystemExit(f"no verb of the clients: {words}")


def sign_in():
    """Tells both clients by variables; glanceclient reads no clouds.yaml."""
    with open(os.path.join(directory, "clouds.yaml"), encoding="utf-8") as file:
        cloud = yaml.safe_load(file)["clouds"]["admin"]
    for name, value in cloud["auth"].items():
        os.environ[f"OS_{name.upper()}"] = value
    os.environ |= {
        "OS_REGION_NAME": cloud["region_name"], "OS_CACERT": cloud["cacert"],
        "OS_IDENTITY_API_VERSION": "3",
        # glanceclient keeps schemas there.
        "HOME": directory,
    }


def files():
    """What the lines name."""
    def write(name, text):
        path = os.path.join(directory, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    namespace = {"namespace": "Interop::Imported", "visibility": "public"}
    return {
        "data": write("data", "twelve bytes"), "seed": "Interop::Seed",
        "namespace": write("namespace.json", json.dumps(namespace)),
        "property": json.dumps({"type": "string"}),
        "project": json.load(open(ids, encoding="utf-8"))["a"]["Default/proj2"],
    }


def main():
    sign_in()
    verbs = set(known())
    names, failures, done = files(), {}, set()
    for line in open(lines, encoding="utf-8"):
        variable, _, command = line.strip().rpartition(" = ")
        if not command or command.startswith("#"):
            continue
        is_judged = not command.startswith("- ")
        words = shlex.split(command.removeprefix("- "))
        names["new"] = os.path.join(directory, uuid.uuid4().hex)
        good, said = run_with(words, names)
        made = re.search(r"\| ([0-9a-f]{8}-[0-9a-f-]{27}) ", said)
        if variable and made:
            names[variable] = made[1]
        if is_judged:
            verb = verb_of(words, verbs)
            done.add(verb)
            if not good:
                failures.setdefault(verb, f"{command}: {said}")
    for verb in sorted(verbs):
        why = failures.get(verb, "" if verb in done else "no line asks for it")
        outcome = "failed" if why else "passed"
        print(json.dumps({"test": verb, "outcome": outcome, "why": why[-2000:]}), flush=True)


main()
