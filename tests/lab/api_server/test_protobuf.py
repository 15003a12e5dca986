"""Bodies in protobuf, written by a small encoder of the test's own."""

import pytest

from lab.api_server.core.protobuf import read
from lab.api_server.core.status import ApiStatus


def field(number: int, value: bytes | str | int) -> bytes:
    """Encode one field."""
    if isinstance(value, int):
        return bytes([number << 3]) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def envelope(api_version: str, kind: str, content: bytes) -> bytes:
    """Encode the wrapper that Kubernetes puts around every object."""
    return b"k8s\0" + field(1, field(1, api_version) + field(2, kind)) + field(2, content)


def test_a_deployment_keeps_the_zero_that_go_points_to() -> None:
    container = field(1, "c") + field(2, "b:1") + field(3, "echo") + field(3, "hi") + field(8, b"")
    template = field(1, field(11, field(1, "app") + field(2, "a"))) + field(2, field(2, container))
    spec = field(1, 0) + field(2, field(1, field(1, "app") + field(2, "a"))) + field(3, template) + field(5, 0)
    content = field(1, field(1, "d") + field(3, "") + field(8, b"")) + field(2, spec) + field(3, field(1, 0))
    assert read(envelope("apps/v1", "Deployment", content)) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "a"}},
            "template": {
                "metadata": {"labels": {"app": "a"}},
                "spec": {"containers": [{"name": "c", "image": "b:1", "command": ["echo", "hi"], "resources": {}}]},
            },
        },
    }


def test_bytes_quantities_times_and_numbers_or_text() -> None:
    secret = field(1, field(8, field(1, 1_767_225_600))) + field(2, field(1, "k") + field(2, b"\x00\xff"))
    read_secret = read(envelope("v1", "Secret", secret))
    assert read_secret["metadata"] == {"creationTimestamp": "2026-01-01T00:00:00Z"}
    assert read_secret["data"] == {"k": "AP8="}
    quota = field(2, field(1, field(1, "cpu") + field(2, field(1, "500m"))))
    assert read(envelope("v1", "ResourceQuota", quota))["spec"]["hard"] == {"cpu": "500m"}
    ports = field(1, field(3, 80) + field(4, field(1, 1) + field(3, "web")))
    assert read(envelope("v1", "Service", field(2, ports)))["spec"]["ports"] == [{"port": 80, "targetPort": "web"}]


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b"{}", 415, "does not begin like Kubernetes protobuf"),
        (envelope("v1", "Unheard", b""), 415, "does not read Unheard in protobuf; send JSON"),
        (envelope("v1", "Namespace", field(9, "x")), 415, "does not read field 9 of Namespace in protobuf"),
        (b"k8s\0\x0a\x7f", 400, "not valid protobuf"),
    ],
)
def test_what_cannot_be_read_is_refused(body: bytes, code: int, message: str) -> None:
    with pytest.raises(ApiStatus, match=message) as refused:
        read(body)
    assert refused.value.code == code


def test_a_lease_as_kwok_sends_it() -> None:
    renewed = field(1, 1_767_225_600) + field(2, 1_500_000)
    spec = field(1, "kwok") + field(2, 120) + field(4, renewed)
    assert read(envelope("coordination.k8s.io/v1", "Lease", field(1, field(1, "n")) + field(2, spec)))["spec"] == {
        "holderIdentity": "kwok",
        "leaseDurationSeconds": 120,
        "renewTime": "2026-01-01T00:00:00.001500Z",
    }
