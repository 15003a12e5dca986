"""The configuration file, and what is said of one that cannot be used."""

import json
from pathlib import Path
from typing import Any

import pytest

from lab.kubelet.config import read
from lab.kubelet.node_status import SIMULATED, node_object


def write(directory: Path, **changes: Any) -> Path:
    """A configuration file whose files are there."""
    for name in ("kubeconfig", "ca.crt", "n.crt", "n.key"):
        (directory / name).touch()
    node = {"name": "n", "tls_cert_file": "n.crt", "tls_private_key_file": "n.key"}
    content = {"kubeconfig": "kubeconfig", "root_dir": "root", "client_ca_file": "ca.crt", "nodes": [node], **changes}
    path = directory / "kubelet.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    config = read(write(tmp_path, visible=["certs"]))
    assert config.root_dir == tmp_path / "root"
    assert config.visible == (tmp_path / "certs",)
    assert config.nodes[0].tls_cert_file == tmp_path / "n.crt"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"client_ca_file": "none.crt"}, "client_ca_file: there is no file"),
        ({"nodes": []}, "nodes"),
        ({"back_off_seconds": 0}, "back_off_seconds"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(write(tmp_path, **changes))


def test_a_node_that_is_not_what_it_says_is_marked(tmp_path: Path) -> None:
    node = read(write(tmp_path)).nodes[0]
    foreign = node.model_copy(update={"os": "windows"})
    assert node_object(foreign, "linux/x86_64")["metadata"]["labels"][SIMULATED] == "true"
    plain = node.model_copy(update={"simulated": False})
    assert SIMULATED not in node_object(plain, "linux/x86_64")["metadata"]["labels"]
