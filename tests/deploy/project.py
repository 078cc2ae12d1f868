"""Where things are, and how they are read: what every check of deploy/ stands on."""

import re
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

import helm_python as helm
import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "syncline"
DASHBOARDS = ROOT / "dashboards"


class StrictLoader(yaml.SafeLoader):
    """Refuses a key that stands twice in a mapping, where YAML readers silently take the last one."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} stands twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def documents(text):
    """The documents of a YAML stream, the empty ones left out."""
    return [document for document in yaml.load_all(text, StrictLoader) if document]


def render(values=None, chart=CHART, **release):
    """Every object that the chart makes with these values, without the notes."""
    release = {"name": "syncline", "namespace": "syncline"} | release
    with helm.Chart.load(str(chart)) as loaded:
        files = loaded.render(values or {}, **release)
    return [document for path, text in files.items() if not path.endswith(".txt") for document in documents(text)]


def one(objects, kind):
    """The only object of its kind."""
    found = [found for found in objects if found["kind"] == kind]
    assert len(found) == 1, f"{len(found)} objects of kind {kind}"
    return found[0]


def pod_of(document):
    """The pod's specification inside a workload; nothing for other kinds."""
    match document["kind"]:
        case "Pod":
            return document["spec"]
        case "Deployment" | "Job":
            return document["spec"]["template"]["spec"]


def grace_seconds():
    """How long a worker takes to hand back its work, by default."""
    source = (ROOT / "src/config/queue.rs").read_text()
    return int(re.search(r'"queue\.grace_seconds", "(\d+)"', source)[1])


def tool(name):
    """A program of the virtual environment or of the machine; the test is skipped without it."""
    path = shutil.which(str(Path(sys.executable).parent / name)) or shutil.which(name)
    if not path:
        raise unittest.SkipTest(f"{name} is not installed")
    return path


def run(*command, **options):
    """Exit code and everything that was said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    return done.returncode, done.stdout + done.stderr
