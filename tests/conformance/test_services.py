"""Services: what an API server gives them, keeps for them, and refuses. Copies of Services lean on all of it."""

from typing import Any

import pytest

from tests.conformance.conftest import HttpClient
from tests.conformance.test_objects import refusal

Manifest = dict[str, Any]


def service(**spec: Any) -> Manifest:
    return {"metadata": {"name": "s"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}], **spec}}


async def test_an_address_is_given_and_the_rest_defaulted(client: HttpClient, home: str) -> None:
    made = await client.create(f"{home}/services", service())
    address = made["spec"].pop("clusterIP")
    assert address.count(".") == 3
    assert made["spec"] == {
        "type": "ClusterIP",
        "clusterIPs": [address],
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "internalTrafficPolicy": "Cluster",
        "sessionAffinity": "None",
        "selector": {"app": "web"},
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
    }
    assert made["status"] == {"loadBalancer": {}}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"clusterIP": "None"}, {"clusterIP": "None", "clusterIPs": ["None"], "internalTrafficPolicy": "Cluster"}),
        ({"type": "ExternalName", "externalName": "example.com"}, {"type": "ExternalName", "sessionAffinity": "None"}),
        (
            {"sessionAffinity": "ClientIP"},
            {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}}},
        ),
        ({"type": "NodePort"}, {"externalTrafficPolicy": "Cluster"}),
        ({"type": "LoadBalancer"}, {"externalTrafficPolicy": "Cluster", "allocateLoadBalancerNodePorts": True}),
    ],
)
async def test_what_each_type_is_given(client: HttpClient, home: str, spec: Manifest, expected: Manifest) -> None:
    made = await client.create(f"{home}/services", service(**spec))
    assert {key: made["spec"].get(key) for key in expected} == expected
    has_address = spec.get("type") != "ExternalName"
    assert ("clusterIP" in made["spec"]) is has_address
    assert ("ipFamilies" in made["spec"]) is has_address
    has_node_port = spec.get("type") in ("NodePort", "LoadBalancer")
    assert ("nodePort" in made["spec"]["ports"][0]) is has_node_port
    if has_node_port:
        assert 30000 <= made["spec"]["ports"][0]["nodePort"] <= 32767


@pytest.mark.parametrize("kind", ["ClusterIP", "NodePort", "LoadBalancer"])
async def test_a_put_without_allocated_values_keeps_them(client: HttpClient, home: str, kind: str) -> None:
    made = await client.create(f"{home}/services", service(type=kind))
    bare = {**service(type=kind), "metadata": {"name": "s", "resourceVersion": made["metadata"]["resourceVersion"]}}
    kept = await client.replace(f"{home}/services/s", bare)
    assert kept["spec"] == made["spec"]
    assert kept["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


async def test_a_changed_selector_replaces_nothing_else(client: HttpClient, home: str) -> None:
    made = await client.create(f"{home}/services", service())
    patch = {"spec": {"selector": {"app": None, "ex.io/app": "web"}}}
    patched = await client.patch(f"{home}/services/s", patch)
    assert patched["spec"] == {**made["spec"], "selector": {"ex.io/app": "web"}}


async def test_addresses_do_not_change(client: HttpClient, home: str) -> None:
    made = await client.create(f"{home}/services", service())
    wrong = {**made, "spec": {**made["spec"], "clusterIP": "None", "clusterIPs": ["None"]}}
    refused = await refusal("PUT", f"{home}/services/s", wrong, client=client)
    assert (refused.code, refused.reason) == (422, "Invalid")
    assert "spec.clusterIPs[0]: Invalid value" in refused.message
    assert "may not change once set" in refused.message


async def test_the_type_may_become_external_name_and_back(client: HttpClient, home: str) -> None:
    await client.create(f"{home}/services", service(type="NodePort"))
    named = await client.replace(f"{home}/services/s", service(type="ExternalName", externalName="example.com"))
    assert named["spec"].keys() == {"type", "externalName", "selector", "ports", "sessionAffinity"}
    assert "nodePort" not in named["spec"]["ports"][0]
    back = await client.replace(f"{home}/services/s", service())
    assert back["spec"]["clusterIPs"] == [back["spec"]["clusterIP"]]
    assert "externalName" not in back["spec"]


async def test_a_node_port_goes_with_its_type(client: HttpClient, home: str) -> None:
    made = await client.create(f"{home}/services", service(type="NodePort"))
    plain = await client.replace(f"{home}/services/s", {**made, "spec": {**made["spec"], "type": "ClusterIP"}})
    assert "nodePort" not in plain["spec"]["ports"][0]
    assert "externalTrafficPolicy" not in plain["spec"]
    assert plain["spec"]["clusterIP"] == made["spec"]["clusterIP"]


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"ports": []}, "spec.ports"),
        ({"ports": [{"port": 0}]}, "spec.ports[0].port"),
        ({"ports": [{"port": 80}, {"port": 81}]}, "spec.ports[0].name"),
        ({"ports": [{"name": "a", "port": 80}, {"name": "a", "port": 81}]}, "spec.ports[1].name"),
        ({"ports": [{"port": 80, "protocol": "ICMP"}]}, "spec.ports[0].protocol"),
        ({"type": "Strange"}, "spec.type"),
        ({"type": "ExternalName"}, "spec.externalName"),
        ({"selector": {"not a key": "x"}}, "spec.selector"),
    ],
)
async def test_what_is_refused(client: HttpClient, home: str, spec: Manifest, field: str) -> None:
    refused = await refusal("POST", f"{home}/services", service(**spec), client=client)
    assert (refused.code, refused.reason) == (422, "Invalid")
    assert field in [cause["field"] for cause in refused.status["details"]["causes"]]
