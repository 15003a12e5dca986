"""`make kube` knows what is there, and says what is missing."""

from pathlib import Path

import pytest

from lab.engines.engine import KUBE_PROGRAMS, KUBE_VERSION, KWOK
from lab.engines.kube import build
from lab.engines.kube.build import ETCD_VERSION, HERE, KWOK_VERSION, CannotBuild


def test_the_versions_are_those_that_the_modules_pin() -> None:
    assert f"k8s.io/kubernetes v{KUBE_VERSION}" in (HERE / "go.mod").read_text()
    assert f"go.etcd.io/etcd/server/v3 v{ETCD_VERSION} " in (HERE / "etcd" / "go.mod").read_text()
    assert f"sigs.k8s.io/kwok v{KWOK_VERSION} " in (HERE / "kwok" / "go.mod").read_text()


def test_it_builds_what_the_engine_needs() -> None:
    assert {program.name for program in build.programs()} == {*KUBE_PROGRAMS, KWOK}


@pytest.mark.parametrize(
    ("says", "is_right"),
    [("Kubernetes v1.37.2", True), ("Kubernetes v1.37.20", False), ("Kubernetes v0.0.0", False), ("", False)],
)
def test_a_program_is_right_if_it_says_so(tmp_path: Path, says: str, is_right: bool) -> None:
    program = next(program for program in build.programs() if program.name == "kube-apiserver")
    path = tmp_path / program.name
    path.write_text(f"#!/bin/sh\necho {says}\n")
    path.chmod(0o755)
    assert program.is_built(tmp_path) is is_right


async def test_without_go_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotBuild, match=r"needs Go >= 1\.26(.|\n)*go\.dev/dl(.|\n)*ISTHMUS_KUBE_BIN"):
        await build.build(tmp_path / "bin")


async def test_an_old_go_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho go1.19.8\n")
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    with pytest.raises(CannotBuild, match=r"needs Go >= 1\.26, .*go is go1\.19\.8"):
        await build.build(tmp_path / "bin")
