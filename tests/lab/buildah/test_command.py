"""The command against a registry, what it pushed read back by plain HTTP."""

import gzip
import hashlib
import io
import json
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.lab.buildah.conftest import Command
from tests.lab.registry.running import RunningRegistry

HELLO = {"hello.sh": "echo hello\n", "Containerfile": 'FROM scratch\nCOPY hello.sh /bin/\nCMD ["/bin/hello.sh"]\n'}


@pytest.fixture
def app(registry: RunningRegistry) -> str:
    return f"{registry.host}/group/app"


def read(registry: RunningRegistry, path: str) -> Any:
    answer = registry.request("GET", f"/v2/group/app/{path}", registry.token(("group/app", "pull")))
    assert answer.status == 200, answer.body
    return answer.body


def config_of(registry: RunningRegistry, tag: str) -> Any:
    manifest = json.loads(read(registry, f"manifests/{tag}"))
    return json.loads(read(registry, f"blobs/{manifest['config']['digest']}"))


def files_of(registry: RunningRegistry, tag: str) -> dict[str, str]:
    """Regular files of an image and their content; every layer is checked against its diff id."""
    manifest, config, files = json.loads(read(registry, f"manifests/{tag}")), config_of(registry, tag), {}
    for layer, diff in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True):
        content = gzip.decompress(read(registry, f"blobs/{layer['digest']}"))
        assert diff == "sha256:" + hashlib.sha256(content).hexdigest()
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for member in archive:
                if extracted := archive.extractfile(member):
                    files[member.name] = extracted.read().decode()
    return files


class TestLogin:
    def test_a_wrong_password_is_not_kept(self, buildah: Command, registry: RunningRegistry) -> None:
        refusal = buildah("login", "-u", "maker", "--password-stdin", registry.host, stdin="wrong", is_refused=True)

        assert "invalid username/password" in refusal
        assert not Path(buildah.environment["REGISTRY_AUTH_FILE"]).exists()

    def test_logout_forgets(self, logged_in: Command, registry: RunningRegistry) -> None:
        auth = Path(logged_in.environment["REGISTRY_AUTH_FILE"])
        assert registry.host in json.loads(auth.read_text())["auths"]
        assert auth.stat().st_mode & 0o777 == 0o600

        logged_in("logout", registry.host)

        assert json.loads(auth.read_text())["auths"] == {}
        assert "not logged into" in logged_in("logout", registry.host, is_refused=True)

    def test_an_untrusted_certificate_is_refused(self, buildah: Command, registry: RunningRegistry) -> None:
        command = Command(buildah.folder, buildah.environment | {"SSL_CERT_FILE": "/dev/null"})
        login = ("login", "-u", "maker", "-p", "secret", registry.host)

        assert "CERTIFICATE_VERIFY_FAILED" in command(*login, is_refused=True)
        assert "Succeeded" in command(*login, "--tls-verify=false")
        (buildah.folder / "certs").mkdir()
        (buildah.folder / "certs" / "ca.crt").write_bytes(registry.ca.read_bytes())
        assert "Succeeded" in command(*login, "--cert-dir", "certs")


class TestBuildAndPush:
    def test_an_image_reaches_the_registry(self, logged_in: Command, registry: RunningRegistry, app: str) -> None:
        logged_in.write(HELLO)
        out = logged_in(
            *("build", "--isolation=chroot", "--layers", "--pull", "--platform", "linux/arm64"),
            *("--build-arg", "UNUSED=1", "--label", "x=y", "-t", f"{app}:one", "-t", f"{app}:two", "."),
        )
        assert f"Successfully tagged {app}:two" in out
        logged_in("push", "--digestfile", "digest", f"{app}:one")
        logged_in("push", f"{app}:two", f"docker://{app}:three")

        config = config_of(registry, "one")
        assert (config["os"], config["architecture"]) == ("linux", "arm64")
        assert config["config"]["Cmd"] == ["/bin/hello.sh"]
        assert config["config"]["Labels"]["x"] == "y"
        assert files_of(registry, "three") == {"bin/hello.sh": "echo hello\n"}
        digest = (logged_in.folder / "digest").read_text()
        assert digest == "sha256:" + hashlib.sha256(read(registry, "manifests/one")).hexdigest()

    def test_the_same_input_gives_the_same_image(self, buildah: Command) -> None:
        buildah.write(HELLO)
        first = buildah("build", "-q", ".").strip()
        (buildah.folder / "hello.sh").touch()

        assert buildah("build", "-q", ".").strip() == first
        assert len(first) == 64

    def test_docker_format(self, logged_in: Command, registry: RunningRegistry, app: str) -> None:
        logged_in.write(HELLO)
        logged_in("build", "--format", "docker", "-t", f"{app}:docker", ".")
        logged_in("push", f"{app}:docker")

        assert json.loads(read(registry, "manifests/docker"))["mediaType"].endswith("distribution.manifest.v2+json")

    def test_stages_arguments_and_a_base_from_the_registry(
        self, logged_in: Command, registry: RunningRegistry, app: str
    ) -> None:
        logged_in.write(HELLO)
        logged_in("build", "--arch", "amd64", "-t", f"{app}:base", ".")
        logged_in("push", f"{app}:base")
        logged_in("rmi", "--all")
        logged_in.write(
            {
                "Second": f"ARG BASE={app}:base\nFROM scratch AS made\nARG TARGETARCH\n"
                "COPY hello.sh /made/$TARGETARCH\n"
                "FROM $BASE\nENV WHERE=/opt\nWORKDIR $WHERE\nCOPY --from=made --chown=7 /made/ ./\n"
                "ENTRYPOINT /opt/amd64\nEXPOSE 80\n"
            }
        )
        logged_in("build", "--arch", "amd64", "-f", "Second", "-t", f"{app}:second", ".")
        logged_in("push", f"{app}:second")

        config = config_of(registry, "second")["config"]
        assert files_of(registry, "second") == {"bin/hello.sh": "echo hello\n", "opt/amd64": "echo hello\n"}
        assert (config["WorkingDir"], config["Entrypoint"]) == ("/opt", ["/bin/sh", "-c", "/opt/amd64"])
        assert "Cmd" not in config, "an inherited CMD does not outlive a new ENTRYPOINT"
        assert "for linux/amd64, not for linux/s390x" in logged_in(
            "build", "--arch", "s390x", "-f", "Second", ".", is_refused=True
        )

    @pytest.mark.parametrize(
        ("dockerfile", "message"),
        [
            ("FROM scratch\nRUN make", "D:2: RUN make: .*stand-in.*cannot run"),
            ("FROM scratch\nONBUILD COPY a /", "D:2: ONBUILD"),
            ("FROM scratch\nFETCH x", "D:2: FETCH x: unknown instruction"),
            ("COPY a /", "D:1: COPY a /: FROM must come first"),
            ("FROM scratch\nCOPY missing /", 'D:2: COPY missing /: "missing": no such file'),
            ("FROM scratch\nCOPY --chown=app D /", "D:2: .*numbers only"),
            ("FROM busybox", "names no registry"),
        ],
    )
    def test_refusals_name_the_line(self, buildah: Command, dockerfile: str, message: str) -> None:
        buildah.write({"D": dockerfile})

        assert re.search(message, buildah("build", "-f", "D", ".", is_refused=True))

    def test_what_the_login_does_not_cover_is_refused(self, logged_in: Command, registry: RunningRegistry) -> None:
        logged_in.write(HELLO)
        logged_in("build", "-t", f"{registry.host}/forbidden/app", ".")

        assert "401 unauthorized" in logged_in("push", f"{registry.host}/forbidden/app", is_refused=True)


class TestManifest:
    def test_an_index_of_three_platforms(self, logged_in: Command, registry: RunningRegistry, app: str) -> None:
        logged_in.write(HELLO)
        windows = ("--os", "windows", "--arch", "amd64", "--os-version", "10.0.20348.2402")
        for name, flags in {"amd64": ("--arch", "amd64"), "arm64": ("--arch", "arm64"), "windows": windows}.items():
            logged_in("build", *flags, "-t", f"{app}:m-{name}", ".")
            logged_in("push", f"{app}:m-{name}")
        logged_in("manifest", "create", "index")
        for name in ("amd64", "arm64", "windows"):
            logged_in("manifest", "add", "index", f"docker://{app}:m-{name}")
        logged_in(
            "manifest", "annotate", "--annotation", "a=b", "index", f"docker://{app}@{_digest(registry, 'm-arm64')}"
        )
        logged_in("manifest", "push", "--all", "index", f"docker://{app}:m")

        index = json.loads(read(registry, "manifests/m"))
        assert [entry["platform"] for entry in index["manifests"]] == [
            {"architecture": "amd64", "os": "linux"},
            {"architecture": "arm64", "os": "linux"},
            {"architecture": "amd64", "os": "windows", "os.version": "10.0.20348.2402"},
        ]
        assert index["manifests"][1]["annotations"] == {"a": "b"}
        pulled = logged_in("from", "--os", "windows", "--arch", "amd64", f"{app}:m").strip()
        assert pulled == "app-working-container"
        assert "no image for linux/s390x" in logged_in("pull", "--arch", "s390x", f"{app}:m", is_refused=True)

    def test_local_images_and_another_repository(self, logged_in: Command, registry: RunningRegistry, app: str) -> None:
        logged_in.write(HELLO)
        logged_in("build", "--platform", "linux/amd64,linux/arm64", "--manifest", "both", ".")
        logged_in("manifest", "push", "--all", "both", f"docker://{app}:both")
        logged_in("manifest", "create", "copy")
        logged_in("manifest", "add", "--all", "copy", f"docker://{app}:both")
        logged_in("rmi", "both")
        other = f"{registry.host}/group/other"
        logged_in("manifest", "push", "--all", "--rm", "copy", f"docker://{other}:both")

        shown = json.loads(logged_in("manifest", "inspect", f"{other}:both"))
        assert [entry["platform"]["architecture"] for entry in shown["manifests"]] == ["amd64", "arm64"]
        logged_in("manifest", "exists", "copy", is_refused=True)

    def test_a_list_that_exists_is_not_made_again(self, buildah: Command) -> None:
        buildah("manifest", "create", "index")

        assert "already in use" in buildah("manifest", "create", "index", is_refused=True)
        buildah("manifest", "create", "--amend", "index")
        assert "not known" in buildah("manifest", "push", "--all", "nothing", is_refused=True)


class TestContainers:
    def test_step_by_step(self, logged_in: Command, registry: RunningRegistry, app: str) -> None:
        logged_in.write(HELLO)
        container = logged_in("from", "scratch").strip()
        logged_in("copy", container, "hello.sh", "/bin/")
        logged_in("config", "--cmd", "/bin/hello.sh now", "--env", "A=b", "--os", "windows", "--port", "80", container)
        logged_in("commit", "--rm", container, f"{app}:steps")
        logged_in("push", f"{app}:steps")

        config = config_of(registry, "steps")
        assert (config["os"], config["config"]["Cmd"]) == ("windows", ["/bin/hello.sh", "now"])
        assert config["config"]["ExposedPorts"] == {"80/tcp": {}}
        assert files_of(registry, "steps") == {"bin/hello.sh": "echo hello\n"}
        assert logged_in("containers") == ""

    def test_tag_images_inspect_rmi(self, buildah: Command) -> None:
        buildah.write(HELLO)
        identity = buildah("build", "-q", "-t", "app", ".").strip()
        buildah("tag", "app", "other:v1")

        assert [one["names"] for one in json.loads(buildah("images", "--json"))] == [
            ["localhost/app:latest", "localhost/other:v1"]
        ]
        assert buildah("inspect", "--format", "{{.FromImageID}}", "other:v1").strip() == identity
        buildah("rmi", "app")
        assert "localhost/other   v1" in buildah("images")
        buildah("rmi", identity)
        assert buildah("images", "-q") == ""


def test_the_version_says_what_it_is(buildah: Command) -> None:
    assert "stand-in" in buildah("--version")
    assert "stand-in" in buildah("version")


def test_an_unknown_flag_is_an_error(buildah: Command) -> None:
    assert "--frobnicate" in buildah("build", "--frobnicate", ".", is_refused=True)


def _digest(registry: RunningRegistry, tag: str) -> str:
    return "sha256:" + hashlib.sha256(read(registry, f"manifests/{tag}")).hexdigest()
