"""T2: a name is checked before it is part of a URL."""

import pytest

from federation.kube.errors import BadName
from federation.kube.resources import CLUSTER_ROLES, CONFIG_MAPS, NODES, PODS, ROLES, SECRETS

NO_NAMES = [
    "../../kube-system/secrets/webhook",
    "..",
    ".",
    "a/b",
    "a%2fb",
    "a\\b",
    "a?x=1",
    "a#b",
    "a;b",
    "a b",
    "a\nb",
    "a\x00",
    "Ä",
    "²",
    "A",
    "-a",
    "a.",
    "a..b",
    "{name}",
    "a,metadata.name=b",
    "a" * 254,
]


@pytest.mark.parametrize("name", NO_NAMES)
def test_t2_what_is_no_name_is_never_part_of_a_path(name: str) -> None:
    for resource, parts in (
        (SECRETS, ("ns", name)),
        (SECRETS, (name, "a")),
        (NODES, ("", name)),
        (PODS, ("n", "a", name)),
    ):
        with pytest.raises(BadName) as refused:
            resource.path(*parts)
        assert "nothing was sent" in str(refused.value)


@pytest.mark.parametrize("name", ["a", "a.b-c.d", "kube-root-ca.crt", "0", "a" * 253])
def test_names_of_objects_stay_as_they_are(name: str) -> None:
    assert CONFIG_MAPS.path("ns", name) == f"/api/v1/namespaces/ns/configmaps/{name}"


@pytest.mark.parametrize(
    ("name", "segment"), [("system:node", "system%3Anode"), ("Admin of all", "Admin%20of%20all"), ("a?b", "a%3Fb")]
)
def test_names_in_rbac_may_be_more(name: str, segment: str) -> None:
    assert CLUSTER_ROLES.path(name=name).endswith(f"/clusterroles/{segment}")


@pytest.mark.parametrize("name", ["..", ".", "a/../b", "a%2e", "a\nb"])
def test_t2_names_in_rbac_are_one_segment(name: str) -> None:
    with pytest.raises(BadName):
        ROLES.path("ns", name)
