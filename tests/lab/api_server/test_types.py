"""The tables of types say what the official client's models say: every field, required or not, and nothing else."""

from importlib import import_module

import pytest

from lab.api_server.kinds.catalogue import builtin_kinds
from lab.api_server.kinds.model import Kind
from lab.api_server.kinds.types import NAME, named, package_of

PREFIXED = {"Event", "EndpointPort", "ResourceClaim", "Subject", "ServiceReference", "WebhookClientConfig"}
PREFIXED |= {"EventSeries", "TokenRequest"}


def kinds() -> list[Kind]:
    """Return the kinds to compare."""
    return [kind for kind in builtin_kinds() if kind.group != "events.k8s.io"]


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: f"{kind.plural}.{kind.group}".strip("."))
def test_every_type_of_a_kind_has_the_fields_of_the_clients_model(kind: Kind) -> None:
    seen: set[int] = set()
    compared = 0
    waiting = [kind.schema]
    while waiting:
        schema = waiting.pop()
        if id(schema) in seen:
            continue
        seen.add(id(schema))
        inner = [schema.get("items"), schema.get("additionalProperties"), *(schema.get("properties") or {}).values()]
        waiting += [one for one in inner if isinstance(one, dict)]
        if schema.get("properties"):
            assert fields_here(schema) == fields_of_model(schema[NAME])
            compared += 1
    assert compared > 1


def fields_here(schema: dict[str, object]) -> dict[str, bool]:
    """Return fields, and whether they are required."""
    required = schema.get("required") or []
    assert isinstance(required, list)
    properties = schema["properties"]
    assert isinstance(properties, dict)
    return {name: name in required for name in properties}


def fields_of_model(name: str) -> dict[str, bool]:
    """Return the same of the client's model."""
    models = import_module("kubernetes.client.models")
    package, _, short = name.rpartition(".")
    group = package.split(".")[-2].capitalize()
    candidates = [f"{group}V1{short}"] if short in PREFIXED else []
    candidates += [f"V1{short}", f"V1alpha3{short}"]
    model = next(getattr(models, one) for one in candidates if hasattr(models, one))
    return {
        field.serialization_alias or attribute: field.is_required() for attribute, field in model.model_fields.items()
    }


def test_a_type_is_looked_for_in_its_own_table_first() -> None:
    assert "targetRef" not in named("discovery", "EndpointPort")["properties"]
    assert named("apps", "PodTemplateSpec") is named("core", "PodTemplateSpec")
    assert package_of("rbac.authorization.k8s.io") == "rbac"
    with pytest.raises(KeyError, match=r"apps\.Nonsense is in no table of types"):
        named("apps", "Nonsense")


def test_how_lists_merge() -> None:
    container = named("core", "Container")["properties"]
    assert container["env"]["x-kubernetes-list-map-keys"] == ["name"]
    assert container["ports"]["x-kubernetes-list-map-keys"] == ["containerPort", "protocol"]
    assert container["command"]["x-kubernetes-list-type"] == "atomic"
    assert named("meta", "ObjectMeta")["properties"]["finalizers"]["x-kubernetes-list-type"] == "set"
    assert named("core", "PodSpec")["properties"]["nodeSelector"]["x-kubernetes-map-type"] == "atomic"
