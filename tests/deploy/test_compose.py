"""The stack for one machine: it fits the Compose Specification, and its parts fit each other."""

import re
import tempfile
import unittest
from pathlib import Path

import yaml
from compose_spec import PyCompose

from project import DASHBOARDS, DEPLOY, ROOT, StrictLoader, grace_seconds, run, tool

FOLDER = DEPLOY / "compose"
TEXT = (FOLDER / "compose.yaml").read_text()
VARIABLE = re.compile(r"\$\{([A-Z_]+)(?::-([^}]*))?\}")


def settings():
    """The variables of .env.example with their values."""
    lines = (FOLDER / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def interpolated(text, environment):
    """The file as Compose reads it: variables replaced, an empty one counting as not set."""
    return VARIABLE.sub(lambda found: environment.get(found[1]) or found[2] or "", text)


def problems(text):
    """What is wrong with a file."""
    try:
        content = yaml.load(text, StrictLoader)
        compose = PyCompose.from_yaml(yaml.safe_dump(content))
        compose.validate()
    except (ValueError, yaml.YAMLError) as problem:
        yield str(problem)
        return
    services = content["services"]
    for name, service in services.items():
        for other in set(service.get("depends_on", {})) - set(services):
            yield f"{name} depends on {other}, which does not exist"
        for port in service.get("ports", []):
            if not port.startswith("127.0.0.1:"):
                yield f"{name} shows port {port} to the network"
        image = service["image"]
        if not image.startswith("syncline:") and not re.search(r"@sha256:[0-9a-f]{64}$", image):
            yield f"{name} runs whatever {image} is today"
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if not source.startswith("."):
                if source not in content["volumes"]:
                    yield f"{name} mounts the volume {source}, which does not exist"
            elif not (FOLDER / source).exists() and DASHBOARDS.exists():
                yield f"{name} mounts {source}, which does not exist"


STACK = yaml.load(interpolated(TEXT, {}), StrictLoader)


class Compose(unittest.TestCase):
    def test_the_file_fits_the_specification_with_and_without_settings(self):
        for environment in [{}, settings(), settings() | {"SYNCLINE_WORKERS": "12", "POSTGRES_PASSWORD": "other"}]:
            self.assertEqual(list(problems(interpolated(TEXT, environment))), [])

    def test_a_file_that_does_not_fit_is_found(self):
        text = interpolated(TEXT, {})
        for right, wrong in [
            ("read_only: true", "readonly: true"),
            ("service_healthy", "service_happy"),
            ("stop_grace_period: 40s", "stop_grace_period: long"),
            ("postgres: { condition", "database: { condition"),
            ("127.0.0.1:", ""),
            ("prom/prometheus@sha256:", "prom/prometheus:v3.5.0 #"),
            ("postgres:/var/lib", "data:/var/lib"),
            ("replicas: 3", "replicas: three"),
            ("init: true", "init: true\n  init: false"),
        ]:
            self.assertIn(right, text)
            self.assertNotEqual(list(problems(text.replace(right, wrong))), [], wrong)

    def test_every_setting_is_used_and_every_variable_is_a_setting_with_the_same_default(self):
        used = {found[1]: found[2] or "" for found in VARIABLE.finditer(TEXT)}
        self.assertEqual(used, settings())

    def test_workers_start_on_a_current_schema_and_stop_in_peace(self):
        worker = STACK["services"]["worker"]
        self.assertEqual(worker["depends_on"]["migrate"], {"condition": "service_completed_successfully"})
        self.assertGreater(int(worker["stop_grace_period"].removesuffix("s")), grace_seconds() + 5)
        self.assertEqual(worker["deploy"]["replicas"], 3)

    def test_every_digest_has_its_version_beside_it(self):
        for line in re.findall(r"image: .*@sha256:.*", TEXT):
            self.assertRegex(line, r"@sha256:[0-9a-f]{64} # v?\d+\.\d+[\w.-]*$")

    def test_a_migration_waits_for_the_database_that_stays(self):
        # The image starts a server on its socket alone while it makes the database: only TCP tells the two apart.
        self.assertEqual(STACK["services"]["migrate"]["depends_on"]["postgres"], {"condition": "service_healthy"})
        check = STACK["services"]["postgres"]["healthcheck"]["test"]
        self.assertIn("--host", check)
        self.assertEqual(check[check.index("--host") + 1], "127.0.0.1")

    def test_the_program_may_do_nothing_that_it_need_not(self):
        own = [service for service in STACK["services"].values() if service["image"].startswith("syncline:")]
        self.assertEqual(len(own), 4)
        for service in own:
            self.assertTrue(service["read_only"] and service["init"])
            self.assertEqual(service["cap_drop"], ["ALL"])
            self.assertEqual(service["user"], "65532:65532")
            # Only what people ask is reached from outside, and from this machine alone.
            ports = service.get("ports", [])
            self.assertEqual(bool(ports), service["command"] == ["serve"])
            self.assertTrue(all(port.startswith("127.0.0.1:") for port in ports))

    def test_prometheus_reads_its_configuration(self):
        promtool = tool("promtool")
        text = (FOLDER / "prometheus.yml").read_text()
        rules = [DASHBOARDS / "prometheus" / Path(found).name for found in yaml.safe_load(text)["rule_files"]]
        for rule in rules:
            self.assertTrue(rule.exists() or not DASHBOARDS.exists(), f"{rule.relative_to(ROOT)} does not exist")
        text = text.replace("/etc/prometheus/rules", str(DASHBOARDS / "prometheus"))
        if not DASHBOARDS.exists():
            text = re.sub(r"rule_files:\n(  - .*\n)+", "", text)
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            for content, code in [(text, 0), (text.replace("scrape_interval", "scrape_intervall"), 1)]:
                file.seek(0)
                file.truncate()
                file.write(content)
                file.flush()
                found, said = run(promtool, "check", "config", file.name)
                self.assertEqual(found, code, said)

    def test_alertmanager_reads_its_configuration(self):
        code, said = run(tool("amtool"), "check-config", str(FOLDER / "alertmanager.yml"))
        self.assertEqual(code, 0, said)

    def test_the_parts_find_each_other(self):
        services = STACK["services"]
        text = "".join(path.read_text() for path in FOLDER.rglob("*.y*ml"))
        for host, port in re.findall(r"\b([a-z]+):(9090|9093|1025|5432|9464)\b", text):
            self.assertIn(host, {*services, "localhost"}, f"{host}:{port}")
        jobs = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
        self.assertLessEqual(set(jobs[0]["dns_sd_configs"][0]["names"]), set(services))

    @unittest.skipUnless(DASHBOARDS.exists(), "there are no dashboards yet")
    def test_grafana_finds_what_its_provisioning_names(self):
        grafana = STACK["services"]["grafana"]
        provisioning = DASHBOARDS / "grafana" / "provisioning"
        mounted = {volume.split(":")[1] for volume in grafana["volumes"]}
        for file in provisioning.glob("dashboards/*.yaml"):
            for provider in yaml.safe_load(file.read_text())["providers"]:
                self.assertIn(provider["options"]["path"], mounted)
        for file in provisioning.glob("datasources/*.yaml"):
            self.assertLessEqual(set(re.findall(r"\$\{(\w+)\}", file.read_text())), set(grafana["environment"]))


if __name__ == "__main__":
    unittest.main()
