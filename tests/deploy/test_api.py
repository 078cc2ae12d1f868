"""The chart's API: pods, service, ingress, and who may reach them."""

import unittest

import helm_python as helm

from project import CHART, one, pod_of, render
from test_chart import KUBERNETES, problems

FULL = {
    "api": {
        "enabled": True,
        "replicaCount": 3,
        "ingress": {"enabled": True, "className": "nginx", "host": "syncline.example.com", "tlsSecret": "tls"},
        "from": [{"namespaceSelector": {"matchLabels": {"name": "ingress"}}}],
        "oidcClientSecret": {"existingSecret": "oidc", "key": "secret"},
    },
    "config": {"serve": {"base_path": "/jira", "public_url": "https://syncline.example.com/jira"}},
}


def of_api(objects):
    return [found for found in objects if found["metadata"]["labels"].get("app.kubernetes.io/component") == "api"]


class Api(unittest.TestCase):
    def test_nothing_of_it_exists_unless_it_is_asked_for(self):
        self.assertEqual(of_api(render({})), [])

    def test_every_object_fits_its_schema(self):
        objects = of_api(render(FULL))
        kinds = {"Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy", "Ingress"}
        self.assertEqual({found["kind"] for found in objects}, kinds)
        for found in objects:
            for version in KUBERNETES:
                self.assertEqual(list(problems(found, version)), [], f"{found['kind']} on {version}")
        report = helm.lint(str(CHART), FULL, strict=True, kube_version="v1.31.0")
        self.assertEqual(report["errors"], [])

    def test_its_pods_are_found_and_workers_are_not_taken_for_them(self):
        objects = render(FULL)
        pods = one(of_api(objects), "Deployment")["spec"]["template"]["metadata"]["labels"].items()
        others = [found for found in objects if found["kind"] in ("Deployment", "Job") and found not in of_api(objects)]
        for found in of_api(objects):
            spec = found["spec"]
            selector = spec.get("selector") or spec.get("podSelector")
            if selector:
                labels = selector.get("matchLabels", selector).items()
                self.assertLessEqual(labels, pods, found["kind"])
                for other in others:
                    theirs = other["spec"]["template"]["metadata"]["labels"].items()
                    self.assertFalse(labels <= theirs, f"{found['kind']} finds {other['kind']}")

    def test_it_serves_where_its_service_and_its_probes_look(self):
        objects = of_api(render(FULL))
        container = pod_of(one(objects, "Deployment"))["containers"][0]
        env = {variable["name"]: variable.get("value") for variable in container["env"]}
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        self.assertEqual(container["args"], ["serve"])
        self.assertEqual(env["SYNCLINE__SERVE__ADDRESS"], f"0.0.0.0:{ports['api']}")
        self.assertEqual(env["SYNCLINE__HTTP__ADDRESS"], f"0.0.0.0:{ports['http']}")
        self.assertEqual(container["readinessProbe"]["httpGet"], {"path": "/readyz", "port": "http"})
        self.assertEqual(one(objects, "Service")["spec"]["ports"][0]["targetPort"], "api")
        secret = next(v for v in container["env"] if v["name"] == "SYNCLINE__OIDC__CLIENT_SECRET")
        self.assertEqual(secret["valueFrom"]["secretKeyRef"], {"name": "oidc", "key": "secret"})
        self.assertEqual(len(env), len(container["env"]), "no variable is set twice")

    def test_browsers_reach_it_by_its_host_and_path(self):
        ingress = one(of_api(render(FULL)), "Ingress")["spec"]
        rule = ingress["rules"][0]
        self.assertEqual((rule["host"], rule["http"]["paths"][0]["path"]), ("syncline.example.com", "/jira"))
        self.assertEqual(ingress["tls"][0]["secretName"], "tls")
        plain = one(of_api(render({"api": {"enabled": True, "ingress": {"enabled": True, "host": "a.example"}}})), "Ingress")
        self.assertEqual(plain["spec"]["rules"][0]["http"]["paths"][0]["path"], "/")
        with self.assertRaises(helm.HelmError) as refused:
            render({"api": {"enabled": True, "ingress": {"enabled": True}}})
        self.assertIn("api.ingress.host", str(refused.exception))

    def test_only_those_who_are_named_may_ask(self):
        policy = one(of_api(render(FULL)), "NetworkPolicy")["spec"]["ingress"][0]
        self.assertEqual(policy["ports"], [{"port": "api", "protocol": "TCP"}])
        self.assertEqual(policy["from"], FULL["api"]["from"])

