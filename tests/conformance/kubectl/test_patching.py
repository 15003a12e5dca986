"""patch in its three types, label, annotate: what changes, what is refused and how."""

import re

import pytest

from tests.conformance.kubectl.command import Kubectl


@pytest.fixture
async def patched(kubectl: Kubectl) -> Kubectl:
    """kubectl in a namespace with a ConfigMap `c`."""
    await kubectl("create", "configmap", "c", "--from-literal=a=b")
    return kubectl


@pytest.mark.parametrize(
    ("kind", "patch", "data"),
    [
        ("strategic", '{"data":{"c":"d"}}', '{"a":"b","c":"d"}'),
        ("strategic", '{"data":{"a":null,"c":"d"}}', '{"c":"d"}'),
        ("strategic", '{"data":{"$patch":"replace","x":"y"}}', '{"x":"y"}'),
        ("merge", '{"data":{"a":null,"c":"d"}}', '{"c":"d"}'),
        ("json", '[{"op":"add","path":"/data/c","value":"d"},{"op":"remove","path":"/data/a"}]', '{"c":"d"}'),
        ("json", '[{"op":"replace","path":"/data/new","value":"d"}]', '{"a":"b","new":"d"}'),
        ("json", '[{"op":"move","from":"/data/a","path":"/data/z"}]', '{"z":"b"}'),
        ("json", '[{"op":"test","path":"/data/a","value":"b"},{"op":"copy","from":"/data/a","path":"/data/z"}]',
         '{"a":"b","z":"b"}'),
    ],
)  # fmt: skip
async def test_patches(patched: Kubectl, kind: str, patch: str, data: str) -> None:
    assert await patched("patch", "cm", "c", "--type", kind, "-p", patch) == "configmap/c patched\n"
    assert await patched("patch", "cm", "c", "--type=merge", "-p", "{}") == "configmap/c patched (no change)\n"
    assert await patched("get", "cm", "c", "-o", "jsonpath={.data}") == data


INVALID = 'The request is invalid: patch: Invalid value: "{}": {}\n'
REFUSED = [
    ("strategic", '{"data":{"a":5}}', INVALID.format("map[data:map[a:5]]", "cannot convert int64 to string")),
    ("strategic", '{"data":"x"}', INVALID.format("map[data:x]", "cannot restore map from string")),
    (
        "strategic",
        "xx",
        "Error from server (BadRequest): json: cannot unmarshal string into Go value of type map[string]interface {}\n",
    ),
    (
        "merge",
        "[]",
        "Error from server (BadRequest): error decoding patch: json: cannot unmarshal array into Go value of type "
        "map[string]interface {}\n",
    ),
    (
        "json",
        '{"a":1}',
        "Error from server (BadRequest): error decoding patch: json: cannot unmarshal object into Go value of type "
        "[]handlers.jsonPatchOp\n",
    ),
    (
        "json",
        '[{"op":"nope","path":"/data/b","value":"5"}]',
        "The request is invalid: the server rejected our request due to an error in our request\n",
    ),
    (
        "strategic",
        '{"metadata":{"name":"x"}}',
        "Error from server (BadRequest): the name of the object (x) does not match the name on the URL (c)\n",
    ),
    (
        "strategic",
        '{"metadata":{"uid":"x"}}',
        'The ConfigMap "c" is invalid: metadata.uid: Invalid value: "x": field is immutable\n',
    ),
    (
        "strategic",
        '{"metadata":{"resourceVersion":"1"}}',
        'Error from server (Conflict): Operation cannot be fulfilled on configmaps "c": the object has been modified; '
        "please apply your changes to the latest version and try again\n",
    ),
]


@pytest.mark.parametrize(("kind", "patch", "message"), REFUSED)
async def test_patches_that_are_refused(patched: Kubectl, kind: str, patch: str, message: str) -> None:
    assert await patched.fails("patch", "cm", "c", "--type", kind, "-p", patch) == message
    assert await patched("get", "cm", "c", "-o", "jsonpath={.data}") == '{"a":"b"}'


async def test_a_merge_patch_that_does_not_fit_is_shown_with_its_result(patched: Kubectl) -> None:
    for kind, patch in (("merge", '{"data":5}'), ("json", '[{"op":"replace","path":"/data","value":5}]')):
        refused = await patched.fails("patch", "cm", "c", "--type", kind, "-p", patch)
        assert refused.startswith("The request is invalid: patch: Invalid value: ")
        assert '\\"data\\":5' in refused
        end = "json: cannot unmarshal number into Go struct field ConfigMap.data of type map[string]string\n"
        assert refused.endswith(end)


async def test_kind_and_version_cannot_be_patched(patched: Kubectl) -> None:
    assert await patched("patch", "cm", "c", "-p", '{"apiVersion":"v2","kind":"X"}') == (
        "configmap/c patched (no change)\n"
    )


async def test_unknown_fields_in_a_patch_are_warned_of(kubectl: Kubectl) -> None:
    await kubectl("run", "p", "--image=b")
    for kind, patch in (
        ("strategic", '{"spec":{"foo":1}}'),
        ("merge", '{"spec":{"foo":1}}'),
        ("json", '[{"op":"add","path":"/spec/foo","value":1}]'),
    ):
        warned = await kubectl("patch", "pod", "p", "--type", kind, "-p", patch)
        assert warned == 'Warning: unknown field "spec.foo"\npod/p patched (no change)\n'


async def test_what_of_a_pod_may_change(kubectl: Kubectl) -> None:
    await kubectl("run", "p", "--image=b:1")
    patch = '{"spec":{"containers":[{"name":"p","image":"b:2"}]}}'
    assert await kubectl("patch", "pod", "p", "-p", patch) == "pod/p patched\n"
    assert await kubectl("set", "image", "pod/p", "p=b:3") == "pod/p image updated\n"
    refused = await kubectl.fails("patch", "pod", "p", "-p", '{"spec":{"nodeName":"x"}}')
    head = 'The Pod "p" is invalid: spec: Forbidden: pod updates may not change fields other than'
    assert refused.startswith(head)
    missing = await kubectl.fails("patch", "pod", "q", "-p", '{"a":1}')
    assert missing == 'Error from server (NotFound): pods "q" not found\n'


async def test_labels(patched: Kubectl) -> None:
    assert await patched("label", "cm", "c", "x=y") == "configmap/c labeled\n"
    assert await patched("label", "cm", "c", "x=y") == "configmap/c not labeled\n"
    kept = await patched.fails("label", "cm", "c", "x=z")
    assert kept == "error: 'x' already has a value (y), and --overwrite is false\n"
    assert await patched("label", "cm", "c", "x=z", "--overwrite") == "configmap/c labeled\n"
    assert await patched("label", "cm", "--all", "q=r") == "configmap/c labeled\n"
    assert await patched("label", "cm", "c", "x-") == "configmap/c unlabeled\n"
    assert await patched("label", "cm", "c", "x-") == 'label "x" not found.\nconfigmap/c not labeled\n'
    refused = await patched.fails("label", "cm", "c", "x=y z")
    assert re.match(r'error: invalid label value: "x=y z": a valid label must be', refused)
    assert await patched("get", "cm", "c", "-o", "jsonpath={.metadata.labels}") == '{"q":"r"}'


async def test_annotations(patched: Kubectl) -> None:
    assert await patched("annotate", "cm", "c", "x=y") == "configmap/c annotated\n"
    kept = await patched.fails("annotate", "cm", "c", "x=z")
    assert kept == (
        "error: --overwrite is false but found the following declared annotation(s): 'x' already has a value (y)\n"
    )
    assert await patched("annotate", "cm", "c", "x-") == "configmap/c annotated\n"
    assert await patched("get", "cm", "c", "-o", "jsonpath={.metadata.annotations}") == ""
