"""The process kubelet: `python -m lab.kubelet --config FILE`. All the nodes of one cluster, in one process.

Wiring only: reads the configuration, checks that this machine can give containers their view, then per node builds
registration, agent and server. Ends on SIGTERM or SIGINT, and with it everything it runs.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from loguru import logger

from federation.kube.api import Api, connect
from federation.kube.errors import BadKubeconfig
from lab.kubelet import commands, config
from lab.kubelet.access import Access
from lab.kubelet.config import Config, Node
from lab.kubelet.events import Recorder
from lab.kubelet.node import NodeAgent
from lab.kubelet.node_status import allocatable
from lab.kubelet.orders import Workshop
from lab.kubelet.preflight import Unable, check
from lab.kubelet.registration import Registration
from lab.kubelet.server import Identity, NodeServer, listening
from lab.kubelet.shared import Shared
from lab.kubelet.view import Machine


def workshop(settings: Config) -> Workshop:
    """What the containers of all nodes are made with."""
    programs = dict(settings.programs)
    if runner := os.environ.get("ISTHMUS_GITLAB_RUNNER"):
        programs.setdefault("gitlab-runner", runner)
    buildah = "stand-in" if os.environ.get("ISTHMUS_LAB_BUILDAH") == "stand-in" else settings.buildah
    return Workshop(
        machine=Machine.look(),
        commands=commands.Settings(programs, buildah),
        images=tuple(image.entry() for image in settings.images),
        environment=_addresses(settings.kubeconfig) | settings.environment,
        visible=settings.visible,
        hidden=(settings.root_dir, *settings.hidden),
    )


def _addresses(kubeconfig: Path) -> dict[str, str]:
    """Where containers find the API server, as they would in a cluster."""
    document = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
    url = urlsplit(str(document["clusters"][0]["cluster"]["server"]))
    port = str(url.port or 443)
    return {
        "KUBERNETES_SERVICE_HOST": url.hostname or "",
        "KUBERNETES_SERVICE_PORT": port,
        "KUBERNETES_SERVICE_PORT_HTTPS": port,
    }


async def serve_node(api: Api, settings: Config, node: Node, shop: Workshop) -> None:
    """One node, until cancelled."""
    root = settings.root_dir / node.name
    recorder = Recorder(api, node.name)
    shared = Shared(
        api, node.name, shop, recorder, settings.back_off, allocatable(node), root, settings.volume_refresh_seconds
    )
    gone = asyncio.Event()
    agent = NodeAgent(api, shared, gone)
    identity = Identity(node.tls_cert_file, node.tls_private_key_file, settings.client_ca_file)
    application = NodeServer(agent).application(Access(api, node.name))
    async with listening(application, identity, node.port) as port, asyncio.TaskGroup() as group:
        registration = Registration(
            api,
            node,
            port,
            gone,
            lease_seconds=settings.lease_seconds,
            status_seconds=settings.node_status_seconds,
        )
        group.create_task(registration.run())
        group.create_task(recorder.run())
        group.create_task(agent.run())


async def serve(settings: Config) -> None:
    """All nodes, until cancelled."""
    await check(settings.root_dir)
    shop = workshop(settings)
    async with await connect(settings.kubeconfig) as api, asyncio.TaskGroup() as group:
        for node in settings.nodes:
            group.create_task(serve_node(api, settings, node, shop))


async def _until_told(settings: Config) -> None:
    task = asyncio.ensure_future(serve(settings))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def main() -> int:
    """Run; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m lab.kubelet", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="JSON file, see lab/kubelet/config.py")
    arguments = parser.parse_args()
    try:
        asyncio.run(_until_told(config.read(arguments.config)))
    except Exception as error:
        cause = _first(error)
        if not isinstance(cause, Unable | BadKubeconfig | OSError | ValueError):
            raise
        logger.error("the process kubelet cannot run: {error}", error=cause)
        return 1
    return 0


def _first(error: Exception) -> Exception:
    """What went wrong first: the others of a group are its consequences."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


if __name__ == "__main__":
    sys.exit(main())
