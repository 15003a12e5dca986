"""The stand-in beside the real tools: the same Dockerfile gives the same image, and skopeo reads what it pushed."""

import gzip
import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.lab.buildah.conftest import Command
from tests.lab.registry.running import RunningRegistry

needs_skopeo = pytest.mark.skipif(not shutil.which("skopeo"), reason="skopeo is not on PATH")
needs_buildah = pytest.mark.skipif(not shutil.which("buildah"), reason="buildah is not on PATH")

EVERYTHING = """\
ARG BASE=scratch
FROM scratch AS first
COPY sub /data/
FROM $BASE
ARG V=1
ENV A=b C="d e" V=$V
LABEL x=y "with space"=z
WORKDIR /w/x
COPY a.txt ./
COPY --chown=5:6 a.txt /o/p
ADD a.txt sub /many/
COPY --from=first /data /from-first
COPY *.txt /globbed/
USER 5
EXPOSE 80 90/udp
VOLUME /vol
ENTRYPOINT ["/a"]
CMD echo hi $V
STOPSIGNAL SIGINT
"""
WORKDIR_THEN_ENTRYPOINT = 'FROM scratch\nWORKDIR /only/this\nWORKDIR below\nCMD ["x"]\nENTRYPOINT /run $HOME\n'
ADD_AN_ARCHIVE = "FROM scratch\nADD files.tar.gz /unpacked/\nCOPY files.tar.gz /kept/\n"


@pytest.fixture
def context(logged_in: Command) -> Path:
    logged_in.write({"a.txt": "a", "b.txt": "b", "sub/c.txt": "c", "sub/deep/d.txt": "d"})
    (logged_in.folder / "a.txt").chmod(0o755)
    (logged_in.folder / "sub" / "link").symlink_to("c.txt")
    with tarfile.open(logged_in.folder / "files.tar.gz", "w:gz") as archive:
        archive.add(logged_in.folder / "sub", "inside")
    return logged_in.folder


def real(tool: str, command: Command, tmp_path: Path, *arguments: str) -> str:
    """Run the real buildah or skopeo with the same environment."""
    flags = ["--root", str(tmp_path / "real"), "--runroot", str(tmp_path / "real-run")]
    done = subprocess.run(
        [tool, *(flags if tool == "buildah" else ["--insecure-policy"]), *arguments],
        env=command.environment,
        cwd=command.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def image(registry: RunningRegistry, tag: str) -> tuple[dict[str, Any], list[tuple[object, ...]]]:
    """Config, and every member of every layer: name, type, mode, owner, size, link."""
    token = registry.token(("group/app", "pull"))

    def get(path: str) -> bytes:
        return registry.request("GET", f"/v2/group/app/{path}", token).body

    manifest = json.loads(get(f"manifests/{tag}"))
    members: list[tuple[object, ...]] = []
    for layer in manifest["layers"]:
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(get(f"blobs/{layer['digest']}")))) as archive:
            members += [(m.name, m.type, m.mode & 0o7777, m.uid, m.gid, m.size, m.linkname) for m in archive]
    return json.loads(get(f"blobs/{manifest['config']['digest']}")), sorted(members, key=str)


@needs_buildah
@pytest.mark.parametrize(
    ("dockerfile", "flags"),
    [
        pytest.param(EVERYTHING, ("--platform", "linux/arm64/v8", "--build-arg", "V=2"), id="everything"),
        pytest.param(
            EVERYTHING, ("--os", "windows", "--arch", "amd64", "--os-version", "10.0.20348.2402"), id="windows"
        ),
        pytest.param(WORKDIR_THEN_ENTRYPOINT, ("--arch", "amd64", "--label", "a=b"), id="workdir"),
        pytest.param(ADD_AN_ARCHIVE, ("--format", "docker"), id="archive"),
    ],
)
@pytest.mark.usefixtures("context")
def test_the_same_image_as_the_real_buildah(
    logged_in: Command, registry: RunningRegistry, tmp_path: Path, dockerfile: str, flags: tuple[str, ...]
) -> None:
    logged_in.write({"Dockerfile": dockerfile})
    app = f"{registry.host}/group/app"
    logged_in("build", *flags, "-t", f"{app}:ours", ".")
    logged_in("push", f"{app}:ours")
    real("buildah", logged_in, tmp_path, "build", *flags, "-t", f"{app}:theirs", ".")
    real("buildah", logged_in, tmp_path, "push", f"{app}:theirs")

    (ours, our_files), (theirs, their_files) = image(registry, "ours"), image(registry, "theirs")
    assert our_files == their_files
    for field in ("os", "architecture", "variant", "os.version"):
        assert ours.get(field) == theirs.get(field), field
    for one in (ours, theirs):
        one["config"].get("Labels", {}).pop("io.buildah.version", None)
        for field in [field for field, value in one["config"].items() if not value]:
            del one["config"][field]
    for field in ("Hostname", "Domainname", "Image", "OnBuild"):  # Docker format: container fields without meaning
        theirs["config"].pop(field, None)
    assert ours["config"] == theirs["config"]


@needs_buildah
@pytest.mark.usefixtures("context")
def test_the_real_buildah_continues_an_image_of_ours(
    logged_in: Command, registry: RunningRegistry, tmp_path: Path
) -> None:
    app = f"{registry.host}/group/app"
    logged_in.write({"First": "FROM scratch\nCOPY sub /base/\n", "Second": f"FROM {app}:base\nCOPY a.txt /\n"})
    logged_in("build", "-f", "First", "-t", f"{app}:base", ".")
    logged_in("push", f"{app}:base")
    real("buildah", logged_in, tmp_path, "build", "-f", "Second", "-t", f"{app}:continued", ".")
    real("buildah", logged_in, tmp_path, "push", f"{app}:continued")

    names = [member[0] for member in image(registry, "continued")[1]]
    assert {"base/c.txt", "a.txt"} <= set(names)


@needs_skopeo
@pytest.mark.usefixtures("context")
def test_skopeo_reads_image_and_index(logged_in: Command, registry: RunningRegistry, tmp_path: Path) -> None:
    app = f"{registry.host}/group/app"
    logged_in.write({"Dockerfile": EVERYTHING})
    logged_in("build", "--platform", "linux/amd64,linux/arm64", "--manifest", "index", ".")
    logged_in("manifest", "push", "--all", "index", f"docker://{app}:index")

    raw = json.loads(real("skopeo", logged_in, tmp_path, "inspect", "--raw", f"docker://{app}:index"))
    assert len(raw["manifests"]) == 2
    inspected = real("skopeo", logged_in, tmp_path, "inspect", "--override-arch=arm64", f"docker://{app}:index")
    assert json.loads(inspected)["Architecture"] == "arm64"
    # Copying verifies every digest and, for the layers, every diff id.
    real("skopeo", logged_in, tmp_path, "copy", "--all", f"docker://{app}:index", f"oci:{tmp_path / 'oci'}:index")
    assert len(list((tmp_path / "oci" / "blobs" / "sha256").iterdir())) == 6  # index, 2 manifests, 2 configs, 1 layer
