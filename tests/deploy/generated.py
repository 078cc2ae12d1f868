"""What is generated below deploy/, from what: `make deploy-files` writes it, a check keeps it current."""

import yaml

from project import CHART, DASHBOARDS, DEPLOY, ROOT, render

NOTE = "# Generated from deploy/helm/syncline with its default values: `make deploy-files`.\n"
NAMESPACE = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {"name": "syncline", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
}
# Where each folder is, and which of its files become part of the chart.
CHART_FILES = {"grafana": ["*.json"], "prometheus": ["recording.yml", "alerts.yml"]}


def chart_files():
    """The chart's copies of dashboards and rules: a chart is installed from its own folder alone."""
    return {
        CHART / "files" / folder / source.name: source.read_text()
        for folder, patterns in CHART_FILES.items()
        for pattern in patterns
        for source in sorted((DASHBOARDS / folder).glob(pattern))
    }


def plain(document):
    """An object without what only Helm reads."""
    for metadata in [document["metadata"], document.get("spec", {}).get("template", {}).get("metadata", {})]:
        for kind in ["labels", "annotations"]:
            kept = {
                key: value
                for key, value in metadata.pop(kind, {}).items()
                if not key.startswith("helm.sh/") and key != "app.kubernetes.io/managed-by"
            }
            if kept:
                metadata[kind] = kept
    return document


def kubernetes_files():
    """The chart with its default values, for clusters without Helm: first the schema, then the workers."""
    files = {"1-migration.yaml": [NAMESPACE], "2-workers.yaml": []}
    for document in render():
        if document["metadata"].get("annotations", {}).get("helm.sh/hook") == "test":
            continue
        name = "1-migration.yaml" if document["kind"] == "Job" else "2-workers.yaml"
        files[name].append(plain(document))
    style = {"explicit_start": True, "sort_keys": False, "width": 120}
    return {
        DEPLOY / "kubernetes" / name: NOTE + yaml.safe_dump_all(documents, **style)
        for name, documents in files.items()
    }


def differences():
    """What is missing, not current, or there without a source."""
    wanted = chart_files() | kubernetes_files()
    folders = [CHART / "files", DEPLOY / "kubernetes"]
    there = {path for folder in folders for path in folder.rglob("*") if path.is_file()}
    stale = [path for path, text in wanted.items() if path not in there or path.read_text() != text]
    return sorted(str(path.relative_to(ROOT)) for path in [*stale, *(there - wanted.keys())])


def write():
    """Writes everything anew, and removes what has no source any more."""
    wanted = chart_files()
    for path in (CHART / "files").rglob("*"):
        if path.is_file() and path not in wanted:
            path.unlink()
    for make in [chart_files, kubernetes_files]:
        for path, text in make().items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


if __name__ == "__main__":
    write()
    print("\n".join(str(path.relative_to(ROOT)) for path in [*chart_files(), *kubernetes_files()]))
