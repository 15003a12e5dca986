"""YAML that strangers write: what JSON can say, and nothing that costs more than its bytes."""

import base64
from typing import Any

import pytest

from federation import foreign_yaml
from federation.controllers.connections import read_kubeconfig
from federation.kube.errors import BadKubeconfig
from federation.model.reading import DEPTH_MAX, Unreadable
from federation.model.target import parse_target

TARGET = parse_target(
    {"metadata": {"name": "arm", "namespace": "ci", "uid": "u"}, "spec": {"kubeconfigSecret": {"name": "arm"}}}
)
BILLION_LAUGHS = "a: &a [1, 1]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcde", "bcdef", strict=True)
)


def test_what_json_can_say_is_read() -> None:
    text = "a: 1\nb: [true, null, 1.5, x]\nc: {d: '2'}\nt: 2026-11-28\n<<: {m: 1}\non: off\n"
    expected: dict[str, Any] = {"a": 1, "b": [True, None, 1.5, "x"], "c": {"d": "2"}, "t": "2026-11-28"}
    read = foreign_yaml.load(text.replace("on: off\n", ""), "It")
    assert read == expected | {"<<": {"m": 1}}
    assert foreign_yaml.load(b'{"a": [1]}', "It") == {"a": [1]}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (BILLION_LAUGHS, "It: anchors and aliases are not allowed (line 1, column 4); write it out"),
        ("&a [*a]", "It: anchors and aliases are not allowed (line 1, column 1); write it out"),
        ("a: !!binary aGk=", "It: tags are not allowed (line 1, column 4)"),
        ("a: !!python/object/apply:os.system ['true']", "It: tags are not allowed (line 1, column 4)"),
        ("[" * 1000, f"It is nested deeper than {DEPTH_MAX} levels, or has more than 50000 parts"),
        ('{"a":' * 100 + "1" + "}" * 100, f"It is nested deeper than {DEPTH_MAX} levels"),
        ("- 1\n" * 60_000, f"It is nested deeper than {DEPTH_MAX} levels, or has more than 50000 parts"),
        ("a" * 300_000, "It is longer than 262144 bytes"),
        ("a: " + "1" * 5000, "It holds a number that cannot be read"),
        ("a: " + "1" * 100, "It: a whole number must fit 64 bits"),
        ("a: .inf", "It: a number must be finite"),
        ("1: a", "It: every key must be a string (quote it)"),
        ("[a]: b", "It is not YAML: found unhashable key"),
        ("a: [", "It is not YAML: "),
        ("a: b: secret", "It is not YAML: mapping values are not allowed"),
        ("\x00", "It is not YAML: "),
        (b"\xff\xfea", "It is not"),
    ],
)
def test_anything_else_is_refused_and_not_quoted(text: str | bytes, says: str) -> None:
    with pytest.raises(Unreadable) as caught:
        foreign_yaml.load(text, "It")
    assert str(caught.value).startswith(says)
    assert "secret" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "text",
    [
        BILLION_LAUGHS,
        "users: 7",
        "users: [7]",
        "users: [{name: a, user: [token]}]",
        "users: [{name: a, user: {token: 7}}]",
        "contexts: {a: b}",
        "current-context: [a]",
        "clusters: [{cluster: {server: 7}}]",
        "just text",
        "a" * 400_000,
    ],
)
def test_a_kubeconfig_of_another_shape_is_refused_by_its_secret(text: str) -> None:
    with pytest.raises(BadKubeconfig, match=r"^Secret ci/arm, key 'config': not a kubeconfig: it"):
        read_kubeconfig(base64.b64encode(text.encode()).decode(), TARGET)


def test_a_kubeconfig_that_is_no_base64_is_refused() -> None:
    with pytest.raises(BadKubeconfig, match="is not base64"):
        read_kubeconfig("a", TARGET)
    with pytest.raises(BadKubeconfig, match="is not base64"):
        read_kubeconfig("é", TARGET)
