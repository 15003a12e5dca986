"""GitLab and its container registry, which know each other: GitLab issues the tokens that the registry accepts.

The registry serves TLS with an authority of the lab's; jobs trust it by SSL_CERT_FILE. GitLab is plain HTTP: it only
listens on 127.0.0.1, and its clients are on this machine.
"""

import json
import secrets
from pathlib import Path

import aiohttp

from lab.construction import Construction, lab_program
from lab.engines.control_plane import with_ports
from lab.pki import Authority, signing_key, write_private
from lab.ports import Ports
from lab.processes import Process
from lab.waiting import until_serving

READY_SECONDS = 60


async def start_gitlab_and_registry(lab: Construction) -> None:
    """Start both and return when both answer; their addresses are on record then."""
    directory = lab.directory.service("keys")
    authority = Authority("isthmus-lab-registry")
    write_private(directory / "ca.crt", _with_system_authorities(authority.pair.certificate))
    authority.server("registry", ("127.0.0.1", "localhost")).write(directory, "registry")
    private, public = signing_key()
    write_private(directory / "tokens.key", private)
    write_private(directory / "tokens.pub", public)
    token = f"glpat-{secrets.token_urlsafe(15)}"

    async def attempt(ports: Ports, chosen: list[int]) -> str:
        gitlab_port, registry_port = chosen
        gitlab_config = _gitlab(lab, gitlab_port, registry_port, token)
        registry_config = _registry(lab, gitlab_port, registry_port)
        ports.release()
        registry = lab.start("registry", lab_program("registry", registry_config))
        gitlab = lab.start("gitlab", lab_program("gitlab", gitlab_config))
        try:
            await _until_answering(registry, f"https://127.0.0.1:{registry_port}/v2/")
            await _until_answering(gitlab, f"http://127.0.0.1:{gitlab_port}/api/v4/version")
        except BaseException:
            await lab.processes.stop([registry, gitlab], grace_seconds=0)  # the pair is started again as a pair
            raise
        lab.note_service(
            "registry", {"url": f"https://127.0.0.1:{registry_port}", "ca_file": str(directory / "ca.crt")}
        )
        lab.note_service("gitlab", {"url": f"http://127.0.0.1:{gitlab_port}", "token": token})
        return ""

    await with_ports(2, attempt)
    lab.report(
        f"GitLab ready at {lab.record.services['gitlab']['url']}, registry at {lab.record.services['registry']['url']}"
    )


def _gitlab(lab: Construction, port: int, registry_port: int, token: str) -> Path:
    keys = lab.directory.service("keys")
    config = {
        "port": port,
        "data_dir": str(lab.directory.service("gitlab")),
        "root_token": token,
        "registry": f"127.0.0.1:{registry_port}",
        "jwt_signing_key_file": str(keys / "tokens.key"),
        "ca_file": str(keys / "ca.crt"),
    }
    return write_private(lab.directory.service("gitlab.json"), json.dumps(config, indent=2).encode())


def _registry(lab: Construction, gitlab_port: int, port: int) -> Path:
    keys = lab.directory.service("keys")
    config = {
        "port": port,
        "tls": {"certificate": str(keys / "registry.crt"), "key": str(keys / "registry.key")},
        "data_dir": str(lab.directory.service("registry")),
        "token": {"realm": f"http://127.0.0.1:{gitlab_port}/jwt/auth", "public_key": str(keys / "tokens.pub")},
    }
    return write_private(lab.directory.service("registry.json"), json.dumps(config, indent=2).encode())


def _with_system_authorities(certificate: bytes) -> bytes:
    """The lab's authority and this machine's, because SSL_CERT_FILE replaces what a program trusts otherwise."""
    system = Path("/etc/ssl/certs/ca-certificates.crt")
    return certificate + (system.read_bytes() if system.is_file() else b"")


async def _until_answering(process: Process, url: str) -> None:
    async def answers() -> bool:
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session,
                session.get(url, ssl=False) as response,
            ):
                return response.status in (200, 401)  # 401: it wants to know who we are, so it is up
        except (aiohttp.ClientError, TimeoutError):
            return False

    await until_serving(process, answers, seconds=READY_SECONDS)
