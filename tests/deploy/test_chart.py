"""The chart: linted and rendered by Helm's own library over many values, every object checked against its schema."""

import copy
import functools
import json
import shutil
import tempfile
import unittest
from pathlib import Path

import helm_python as helm
import jsonschema
import kubernetes_validate

import generated
from custom_resources import SCHEMAS
from project import CHART, grace_seconds, one, pod_of, render

# The oldest that the chart says it supports, one that many run, the newest that is known.
KUBERNETES = ["1.27", "1.31", kubernetes_validate.latest_version()]

MONITORING = {"podMonitor": {"enabled": True}, "prometheusRule": {"enabled": True}, "dashboards": {"enabled": True}}
# What people set, alone and together.
VALUES = {
    "nothing": {},
    "one worker": {"replicaCount": 1, "podDisruptionBudget": {"enabled": False}},
    "hpa": {"autoscaling": {"mode": "hpa", "minReplicas": 2, "maxReplicas": 20}},
    "keda by sql": {"autoscaling": {"mode": "keda-postgresql"}},
    "keda by prometheus": {
        "autoscaling": {"mode": "keda-prometheus", "prometheusAddress": "http://prometheus.monitoring:9090"}
    },
    "monitoring": {"monitoring": MONITORING},
    "monitoring with labels": {
        "monitoring": {
            "podMonitor": {"enabled": True, "interval": "30s", "labels": {"release": "stack"}},
            "prometheusRule": {"enabled": True, "labels": {"release": "stack"}},
            "dashboards": {"enabled": True, "labels": {"grafana_dashboard": "yes"}, "annotations": {}},
        }
    },
    "pooler": {"database": {"existingSecret": "pg", "urlKey": "pooled-url", "directUrlKey": "url"}},
    "secrets": {
        "encryptionKey": {"existingSecret": "syncline-key"},
        "credentials": {"existingSecret": "jira", "mountPath": "/run/secrets/jira"},
        "alertTemplates": {"existingConfigMap": "templates"},
        "extraEnv": [{"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://collector:4318"}],
        "extraEnvFrom": [{"secretRef": {"name": "more"}}],
    },
    "templates": {"alertTemplates": {"existingConfigMap": "templates"}},
    "settings": {
        "config": {
            "database": {"max_connections": 50},
            "sync": {"default_cron": "*/5 * * * *", "partition_target_issues": 1000000},
            "queue": {"workers": 16, "grace_seconds": 120},
            "telemetry": {"thresholds": "TIMEOUT=5,DNS=2"},
            "alerts": {"reminder_seconds": 43200},
            "log": {"format": "text", "level": "info,sqlx=warn"},
        }
    },
    "no extras": {
        "networkPolicy": {"enabled": False},
        "podDisruptionBudget": {"enabled": False},
        "serviceAccount": {"create": False, "name": "existing"},
        "migration": {"enabled": False},
    },
    "network": {
        "networkPolicy": {
            "metricsFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
            "egressPorts": [],
            "extraEgress": [{"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}],
        }
    },
    "placement": {
        "imagePullSecrets": [{"name": "registry"}],
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "tolerations": [{"key": "batch", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {"nodeAffinity": {}},
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule"}
        ],
        "priorityClassName": "high",
        "podAnnotations": {"example.com/a": "b"},
        "podLabels": {"team": "data"},
    },
    "digest": {"image": {"repository": "example.com/syncline", "tag": "sha256:" + "0" * 64}},
    "names": {
        "fullnameOverride": "a-very-long-name-that-somebody-thought-would-be-a-good-idea-to-have",
        "nameOverride": "s",
    },
}
VALUES["everything"] = {key: value for name in reversed(VALUES) for key, value in VALUES[name].items()}

# What nobody means, and the value that the refusal has to name.
REFUSED = {
    "replicaCount": {"replicaCount": 0},
    "replicacount": {"replicacount": 3},
    "existingSecret": {"database": {"existingSecret": ""}},
    "mode": {"autoscaling": {"mode": "keda"}},
    "minReplicas": {"autoscaling": {"minReplicas": 0}},
    "prometheusAddress": {"autoscaling": {"mode": "keda-prometheus"}},
    "jira_concurency": {"config": {"queue": {"jira_concurency": 4}}},
    "grace_seconds": {"config": {"queue": {"grace_seconds": "25s"}}},
    "port": {"http": {"port": 80}},
    "pullPolicy": {"image": {"pullPolicy": "Sometimes"}},
    "egressPorts": {"networkPolicy": {"egressPorts": ["https"]}},
}


def problems(document, version):
    """What is wrong with one object."""
    schema = SCHEMAS.get((document["apiVersion"], document["kind"]))
    try:
        if schema:
            jsonschema.Draft202012Validator(schema).validate(document)
        else:
            kubernetes_validate.validate(document, version, strict=True)
    except (jsonschema.ValidationError, kubernetes_validate.ValidationError) as problem:
        yield problem.message
    except kubernetes_validate.SchemaNotFoundError as problem:
        yield f"no schema: {problem.message}"
    # A workload's name becomes a label of its pods.
    longest = 63 if pod_of(document) else 253
    if len(document["metadata"]["name"]) > longest:
        yield f"a name of more than {longest} characters"


def for_each(test):
    """Repeats a test for every set of values, with what it makes."""

    @functools.wraps(test)
    def tests(self):
        for name, values in VALUES.items():
            with self.subTest(values=name):
                test(self, values, render(values))

    return tests


class Chart(unittest.TestCase):
    def test_the_linter_has_nothing_to_say(self):
        for name, values in VALUES.items():
            with self.subTest(values=name):
                report = helm.lint(str(CHART), values, strict=True, kube_version="v1.31.0")
                self.assertEqual(report["errors"], [])
                # 1 is information: the chart has no icon.
                self.assertEqual([message for message in report["messages"] if message["severity"] > 1], [])

    @for_each
    def test_every_object_fits_its_schema(self, _, objects):
        self.assertIn("Deployment", {document["kind"] for document in objects})
        for document in objects:
            for version in KUBERNETES:
                self.assertEqual(list(problems(document, version)), [], f"{document['kind']} on {version}")

    def test_an_object_that_does_not_fit_is_found(self):
        objects = render(VALUES["keda by sql"] | VALUES["monitoring"])
        for kind, change in {
            "Deployment": lambda spec: spec.update(replicsa=3),
            "Job": lambda spec: spec.update(backoffLimit="many"),
            "NetworkPolicy": lambda spec: spec["egress"][0]["ports"][0].update(port=[53]),
            "PodDisruptionBudget": lambda spec: spec.update(selector="all"),
            "PodMonitor": lambda spec: spec.update(podMetricsEndpoints=[]),
            "ScaledObject": lambda spec: spec["triggers"][0]["metadata"].update(targetQueryValue=50),
        }.items():
            document = copy.deepcopy(one(objects, kind))
            self.assertEqual(list(problems(document, KUBERNETES[-1])), [], kind)
            change(document["spec"])
            self.assertNotEqual(list(problems(document, KUBERNETES[-1])), [], kind)

    def test_values_that_nobody_means_are_refused_by_name(self):
        for name, values in REFUSED.items():
            with self.subTest(value=name), self.assertRaises(helm.HelmError) as refused:
                render(values)
            self.assertIn(name, str(refused.exception))

    def test_every_default_is_known_to_the_schema(self):
        with helm.Chart.load(str(CHART)) as chart:
            chart.validate_schema(chart.values)
            defaults = chart.values
        schema = json.loads((CHART / "values.schema.json").read_text())
        self.assertEqual(set(schema["properties"]) - {"global"}, set(defaults))

    @for_each
    def test_selectors_find_the_pods(self, _, objects):
        workers = one(objects, "Deployment")["spec"]["template"]["metadata"]["labels"].items()
        for document in objects:
            spec = document.get("spec", {})
            selector = spec.get("selector") or spec.get("podSelector")
            if document["kind"] != "Job" and selector:
                self.assertLessEqual(selector["matchLabels"].items(), workers, document["kind"])
        # A pod of a migration or a test must never count as a worker.
        budget = next((d["spec"]["selector"] for d in objects if d["kind"] == "PodDisruptionBudget"), None)
        for selector in filter(None, [one(objects, "Deployment")["spec"]["selector"], budget]):
            for other in (d for d in objects if d["kind"] in ("Job", "Pod")):
                metadata = other["spec"].get("template", other)["metadata"]
                self.assertFalse(selector["matchLabels"].items() <= metadata["labels"].items(), other["kind"])

    @for_each
    def test_kubernetes_kills_later_than_a_worker_gives_up_waiting(self, values, objects):
        grace = values.get("config", {}).get("queue", {}).get("grace_seconds", grace_seconds())
        self.assertGreater(pod_of(one(objects, "Deployment"))["terminationGracePeriodSeconds"], grace + 5)

    @for_each
    def test_liveness_asks_for_life_and_readiness_for_work(self, _, objects):
        worker = pod_of(one(objects, "Deployment"))["containers"][0]
        self.assertEqual(worker["livenessProbe"]["httpGet"], {"path": "/healthz", "port": "http"})
        self.assertEqual(worker["startupProbe"]["httpGet"], {"path": "/healthz", "port": "http"})
        self.assertEqual(worker["readinessProbe"]["httpGet"], {"path": "/readyz", "port": "http"})
        port = worker["ports"][0]
        address = next(v["value"] for v in worker["env"] if v["name"] == "SYNCLINE__HTTP__ADDRESS")
        self.assertEqual((port["name"], address), ("http", f"0.0.0.0:{port['containerPort']}"))

    @for_each
    def test_pods_may_do_nothing_that_they_need_not(self, _, objects):
        for pod in filter(None, map(pod_of, objects)):
            self.assertFalse(pod["automountServiceAccountToken"])
            self.assertTrue(pod["securityContext"]["runAsNonRoot"])
            self.assertEqual(pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
            for container in pod["containers"]:
                context = container["securityContext"]
                self.assertTrue(context["readOnlyRootFilesystem"])
                self.assertFalse(context["allowPrivilegeEscalation"])
                self.assertEqual(context["capabilities"], {"drop": ["ALL"]})
                self.assertIn("memory", container["resources"]["limits"])

    @for_each
    def test_secrets_are_referred_to_and_never_made(self, _, objects):
        self.assertNotIn("Secret", {document["kind"] for document in objects})
        for pod in filter(None, map(pod_of, objects)):
            url = next(v for v in pod["containers"][0]["env"] if v["name"] == "SYNCLINE__DATABASE__URL")
            self.assertIn("secretKeyRef", url["valueFrom"])

    def test_certificates_proxies_and_volumes_reach_every_process(self):
        extra = {"name": "scratch", "emptyDir": {}}
        mount = {"name": "scratch", "mountPath": "/scratch"}
        values = {
            "caBundle": {"existingConfigMap": "company-ca", "key": "all.pem"},
            "proxy": {"https": "http://proxy.example.com:3128", "noProxy": "jira.example.com"},
            "extraVolumes": [extra],
            "extraVolumeMounts": [mount],
            "credentials": {"existingSecret": "jira"},
        }
        pods = {one["metadata"]["name"]: pod_of(one) for one in render(values) if pod_of(one)}
        self.assertEqual(len(pods), 3, "workers, migration, test")
        for name, pod in pods.items():
            with self.subTest(name):
                container = pod["containers"][0]
                env = {variable["name"]: variable.get("value") for variable in container["env"]}
                self.assertEqual(env["SSL_CERT_FILE"], "/etc/syncline/ca/all.pem")
                self.assertEqual(env["HTTPS_PROXY"], "http://proxy.example.com:3128")
                self.assertEqual(env["NO_PROXY"], "jira.example.com")
                self.assertNotIn("HTTP_PROXY", env)
                self.assertIn({"name": "ca-bundle", "configMap": {"name": "company-ca"}}, pod["volumes"])
                self.assertIn({"name": "ca-bundle", "mountPath": "/etc/syncline/ca", "readOnly": True}, container["volumeMounts"])
                self.assertIn(extra, pod["volumes"])
                self.assertIn(mount, container["volumeMounts"])
                tokens = [volume for volume in pod["volumes"] if volume["name"] == "credentials"]
                self.assertEqual(len(tokens), 0 if name.endswith("-migrate") else 1, "a migration needs no token")
        for wrong in [{"proxy": {"https": "proxy:3128"}}, {"caBundle": {"configMap": "x"}}, {"extraVolumes": [1]}]:
            with self.assertRaises(Exception):
                render(wrong)

    def test_migrations_go_around_a_pooler(self):
        objects = render(VALUES["pooler"])
        key = lambda kind, name: next(
            v["valueFrom"]["secretKeyRef"]["key"]
            for v in pod_of(one(objects, kind))["containers"][0]["env"]
            if v["name"] == f"SYNCLINE__DATABASE__{name}"
        )
        self.assertEqual(key("Job", "URL"), "url")
        self.assertEqual((key("Deployment", "URL"), key("Deployment", "DIRECT_URL")), ("pooled-url", "url"))

    @for_each
    def test_the_schema_is_migrated_before_anything_else_exists(self, _, objects):
        made = {(d["kind"], d["metadata"]["name"]) for d in objects}
        for job in (d for d in objects if d["kind"] == "Job"):
            self.assertEqual(job["metadata"]["annotations"]["helm.sh/hook"], "pre-install,pre-upgrade")
            self.assertNotIn(("ServiceAccount", pod_of(job).get("serviceAccountName")), made)
            self.assertNotIn("volumes", pod_of(job))

    def test_settings_reach_the_program_as_they_were_written(self):
        worker = pod_of(one(render(VALUES["settings"]), "Deployment"))["containers"][0]
        variables = {v["name"]: v.get("value") for v in worker["env"]}
        for name, value in {
            "SYNCLINE__DATABASE__MAX_CONNECTIONS": "50",
            "SYNCLINE__SYNC__PARTITION_TARGET_ISSUES": "1000000",
            "SYNCLINE__SYNC__DEFAULT_CRON": "*/5 * * * *",
            "SYNCLINE__LOG__FORMAT": "text",
            "SYNCLINE__LOG__LEVEL": "info,sqlx=warn",
        }.items():
            self.assertEqual(variables[name], value)

    @for_each
    def test_no_variable_is_set_twice(self, _, objects):
        for pod in filter(None, map(pod_of, objects)):
            names = [v["name"] for v in pod["containers"][0]["env"]]
            self.assertEqual(len(names), len(set(names)))

    @for_each
    def test_the_number_of_workers_has_one_master(self, values, objects):
        scaled = values.get("autoscaling", {}).get("mode", "none") != "none"
        workers = one(objects, "Deployment")
        self.assertEqual("replicas" in workers["spec"], not scaled)
        masters = [d for d in objects if d["kind"] in ("HorizontalPodAutoscaler", "ScaledObject")]
        self.assertEqual(len(masters), int(scaled))
        for master in masters:
            self.assertEqual(master["spec"]["scaleTargetRef"]["name"], workers["metadata"]["name"])

    def test_rules_and_dashboards_arrive_unchanged(self):
        rule = {"alert": "A", "expr": "up == 0", "annotations": {"summary": "{{ $labels.job }} is {{ $value }}"}}
        rules = {"groups": [{"name": "g", "rules": [rule]}]}
        made = ("PrometheusRule", "ConfigMap")
        dashboard = {"title": "T", "panels": [{"legendFormat": "{{project}}"}]}
        with tempfile.TemporaryDirectory() as folder:
            chart = Path(shutil.copytree(CHART, Path(folder) / "syncline"))
            shutil.rmtree(chart / "files", ignore_errors=True)
            self.assertEqual([d for d in render(VALUES["monitoring"], chart) if d["kind"] in made], [])
            contents = {"files/prometheus/alerts.yml": rules, "files/grafana/overview.json": dashboard}
            for path, content in contents.items():
                (chart / path).parent.mkdir(parents=True)
                (chart / path).write_text(json.dumps(content, indent=2))
            objects = render(VALUES["monitoring"], chart)
        self.assertEqual(one(objects, "PrometheusRule")["spec"], rules)
        self.assertEqual(json.loads(one(objects, "ConfigMap")["data"]["syncline-overview.json"]), dashboard)
        self.assertEqual(list(problems(one(objects, "PrometheusRule"), KUBERNETES[-1])), [])

    def test_what_is_generated_is_current(self):
        self.assertEqual(generated.differences(), [], "run `make deploy-files` and commit what it wrote")
        made = [d for d in render(VALUES["monitoring"]) if d["kind"] in ("PrometheusRule", "ConfigMap")]
        self.assertEqual(len({(d["kind"], d["metadata"]["name"]) for d in made}), len(generated.chart_files()))


if __name__ == "__main__":
    unittest.main()
