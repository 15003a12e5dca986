"""The real skopeo and buildah against the registry, logged in with a password that becomes a token at the issuer.

The same operations are tested request by request in test_protocol.py; these show that our reading of the protocol is
the tools' reading too.
"""

import gzip
import json
import shutil
import subprocess
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest

from tests.lab.registry.running import RunningRegistry

needs_skopeo = pytest.mark.skipif(not shutil.which("skopeo"), reason="skopeo is not on PATH")
needs_buildah = pytest.mark.skipif(not shutil.which("buildah"), reason="buildah is not on PATH")
Run = Callable[..., str]
LAYER = gzip.compress(b"layer")


@pytest.fixture
def run(registry: RunningRegistry, tmp_path: Path) -> Run:
    """Run a tool with this registry's CA and a home, storage and working directory of its own; returns its stdout."""
    environment = registry.environment(tmp_path / "home")
    storage = ["--root", str(tmp_path / "storage"), "--runroot", str(tmp_path / "run")]

    def call(*command: str, is_refused: bool = False) -> str:
        tool = [command[0], *(storage if command[0] == "buildah" else ["--insecure-policy"])]
        done = subprocess.run(
            [*tool, *command[1:]], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert (done.returncode != 0) == is_refused, done.stderr
        return done.stderr if is_refused else done.stdout

    return call


def login(run: Run, registry: RunningRegistry, tool: str = "buildah") -> None:
    run(tool, "login", "-u", "maker", "-p", "secret", registry.host)


def image(folder: Path, content: str) -> Path:
    """A context with one file and a Containerfile."""
    folder.mkdir()
    (folder / "hello.txt").write_text(content)
    (folder / "Containerfile").write_text('FROM scratch\nCOPY hello.txt /\nCMD ["/hello"]\n')
    return folder


@needs_buildah
class TestBuildah:
    def test_login_is_checked_by_the_registry(self, run: Run, registry: RunningRegistry) -> None:
        assert "invalid username" in run(
            "buildah", "login", "-u", "maker", "-p", "wrong", registry.host, is_refused=True
        )
        login(run, registry)

    def test_build_push_and_pull_back(self, run: Run, registry: RunningRegistry, tmp_path: Path) -> None:
        name = f"{registry.host}/group/app:built"
        login(run, registry)
        run("buildah", "build", "-t", name, str(image(tmp_path / "context", "from buildah")))
        run("buildah", "push", name)
        run("buildah", "rmi", "--all")
        run("buildah", "from", name)

        assert run("buildah", "images", "--format", "{{.Name}}:{{.Tag}}").strip() == name

    def test_what_the_user_may_not_push_is_refused(self, run: Run, registry: RunningRegistry, tmp_path: Path) -> None:
        name = f"{registry.host}/forbidden/app:built"
        login(run, registry)
        run("buildah", "build", "-t", name, str(image(tmp_path / "context", "forbidden")))

        assert "unauthorized" in run("buildah", "push", name, is_refused=True)

    @pytest.mark.parametrize("kind", ["oci", "v2s2"])
    def test_a_manifest_of_two_platforms(self, run: Run, registry: RunningRegistry, tmp_path: Path, kind: str) -> None:
        base = f"{registry.host}/group/app"
        login(run, registry)
        context = image(tmp_path / "context", f"index {kind}")
        run("buildah", "manifest", "create", "index")
        for arch in ("amd64", "arm64"):
            build_kind = "docker" if kind == "v2s2" else "oci"
            run("buildah", "build", "--format", build_kind, "--platform", f"linux/{arch}", "-t", arch, str(context))
            run("buildah", "push", arch, f"docker://{base}:{kind}-{arch}")
            run("buildah", "manifest", "add", "index", f"docker://{base}:{kind}-{arch}")
        run("buildah", "manifest", "push", "--all", "--format", kind, "index", f"docker://{base}:{kind}")

        token = registry.token(("group/app", "pull"))
        index = registry.request("GET", f"/v2/group/app/manifests/{kind}", token).json
        assert [(one["platform"]["os"], one["platform"]["architecture"]) for one in index["manifests"]] == [
            ("linux", "amd64"),
            ("linux", "arm64"),
        ]


@needs_skopeo
class TestSkopeo:
    def test_copy_between_repositories_list_inspect_delete(
        self, run: Run, registry: RunningRegistry, tmp_path: Path
    ) -> None:
        login(run, registry, "skopeo")
        oci = oci_layout(tmp_path / "layout")
        run("skopeo", "copy", f"oci:{oci}:one", f"docker://{registry.host}/group/app:copied")
        run("skopeo", "copy", f"docker://{registry.host}/group/app:copied", f"docker://{registry.host}/group/other:c")

        assert any(scope.startswith("repository:group/app:pull") for scope in registry.issuer.asked)
        assert "c" in json.loads(run("skopeo", "list-tags", f"docker://{registry.host}/group/other"))["Tags"]
        raw = run("skopeo", "inspect", "--raw", f"docker://{registry.host}/group/other:c")
        assert json.loads(raw)["layers"][0]["size"] == len(LAYER)
        run("skopeo", "delete", f"docker://{registry.host}/group/other:c")
        assert "c" not in json.loads(run("skopeo", "list-tags", f"docker://{registry.host}/group/other"))["Tags"]

    def test_sync_a_large_layer_in_and_out(self, run: Run, registry: RunningRegistry, tmp_path: Path) -> None:
        login(run, registry, "skopeo")
        oci = oci_layout(tmp_path / "layout", layer := gzip.compress(Random(1).randbytes(16 << 20), compresslevel=0))
        run("skopeo", "copy", f"oci:{oci}:one", f"docker://{registry.host}/group/app:large")
        run("skopeo", "copy", f"docker://{registry.host}/group/app:large", f"dir:{tmp_path / 'out'}")

        sizes = sorted(path.stat().st_size for path in (tmp_path / "out").iterdir())
        assert sizes[-1] == len(layer)


def oci_layout(folder: Path, layer: bytes = LAYER) -> Path:
    """An OCI layout with one image called `one`, made without any tool."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def keep(content: bytes, kind: str, **more: object) -> dict[str, object]:
        name = sha256(content).hexdigest()
        (blobs / name).write_bytes(content)
        return {"mediaType": kind, "digest": f"sha256:{name}", "size": len(content), **more}

    rootfs = {"type": "layers", "diff_ids": [f"sha256:{sha256(gzip.decompress(layer)).hexdigest()}"]}
    config = {"architecture": "amd64", "os": "linux", "rootfs": rootfs, "config": {}}
    manifest = {
        "schemaVersion": 2,
        "config": keep(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"),
        "layers": [keep(layer, "application/vnd.oci.image.layer.v1.tar+gzip")],
    }
    described = keep(
        json.dumps(manifest).encode(),
        "application/vnd.oci.image.manifest.v1+json",
        annotations={"org.opencontainers.image.ref.name": "one"},
    )
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [described]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return folder
