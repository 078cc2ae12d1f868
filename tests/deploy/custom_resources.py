"""The shape of objects whose schemas Kubernetes does not have: as far as this chart uses them."""

DURATION = {"type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$"}
STRINGS = {"type": "object", "additionalProperties": {"type": "string"}}


def exactly(required=(), **properties):
    """An object with these properties and no others."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(required),
        "properties": properties,
    }


def resource(spec):
    """A namespaced object with this specification."""
    metadata = exactly(["name", "namespace"], name={"type": "string"}, namespace={"type": "string"}, labels=STRINGS)
    return exactly(
        ["apiVersion", "kind", "metadata", "spec"],
        apiVersion={"type": "string"},
        kind={"type": "string"},
        metadata=metadata,
        spec=spec,
    )


RULE = exactly(
    ["expr"],
    record={"type": "string", "pattern": "^[a-zA-Z_:][a-zA-Z0-9_:]*$"},
    alert={"type": "string", "minLength": 1},
    expr={"type": ["string", "number"]},
    labels=STRINGS,
    annotations=STRINGS,
    keep_firing_for=DURATION,
    **{"for": DURATION},
) | {"oneOf": [{"required": ["record"]}, {"required": ["alert"]}]}

SCHEMAS = {
    ("monitoring.coreos.com/v1", "PodMonitor"): resource(
        exactly(
            ["selector", "podMetricsEndpoints"],
            jobLabel={"type": "string"},
            selector=exactly(["matchLabels"], matchLabels=STRINGS),
            podMetricsEndpoints={
                "type": "array",
                "minItems": 1,
                "items": exactly(["port"], port={"type": "string"}, path={"type": "string"}, interval=DURATION),
            },
        )
    ),
    ("monitoring.coreos.com/v1", "PrometheusRule"): resource(
        exactly(
            ["groups"],
            groups={
                "type": "array",
                "minItems": 1,
                "items": exactly(
                    ["name", "rules"],
                    name={"type": "string", "minLength": 1},
                    interval=DURATION,
                    limit={"type": "integer"},
                    labels=STRINGS,
                    rules={"type": "array", "items": RULE},
                ),
            },
        )
    ),
    ("keda.sh/v1alpha1", "ScaledObject"): resource(
        exactly(
            ["scaleTargetRef", "triggers"],
            scaleTargetRef=exactly(["name"], name={"type": "string"}),
            minReplicaCount={"type": "integer", "minimum": 1},
            maxReplicaCount={"type": "integer", "minimum": 1},
            pollingInterval={"type": "integer"},
            cooldownPeriod={"type": "integer"},
            fallback=exactly(
                ["failureThreshold", "replicas"], failureThreshold={"type": "integer"}, replicas={"type": "integer"}
            ),
            triggers={
                "type": "array",
                "minItems": 1,
                "items": {
                    "oneOf": [
                        exactly(
                            ["type", "metadata"],
                            type={"const": "postgresql"},
                            metadata=exactly(
                                ["connectionFromEnv", "query", "targetQueryValue"],
                                connectionFromEnv={"type": "string"},
                                query={"type": "string"},
                                # KEDA's values are texts, also where they are numbers.
                                targetQueryValue={"type": "string", "pattern": "^[0-9]+$"},
                            ),
                        ),
                        exactly(
                            ["type", "metadata"],
                            type={"const": "prometheus"},
                            metadata=exactly(
                                ["serverAddress", "query", "threshold"],
                                serverAddress={"type": "string", "pattern": "^https?://"},
                                query={"type": "string"},
                                threshold={"type": "string", "pattern": "^[0-9]+$"},
                            ),
                        ),
                    ]
                },
            },
        )
    ),
}
