"""`python -m lab.api_server`: an API server in memory, with kube-apiserver's flags.

Wiring only: flags -> keys and files -> the core -> the aiohttp shell. Stops on SIGTERM and SIGINT.
"""

import asyncio
import signal
import sys
from datetime import UTC, datetime

from aiohttp import web
from loguru import logger

from lab.api_server.auth.authenticate import read_token_file
from lab.api_server.auth.tokens import Tokens, read_private_key, read_public_keys
from lab.api_server.core.server import ApiServer
from lab.api_server.flags import Flags, parse_flags
from lab.api_server.http.application import Application
from lab.api_server.http.kubelet_relay import KubeletRelay
from lab.api_server.http.tls import kubelet_context, serving_context
from lab.api_server.http.webhook_client import WebhookClient

SHUTDOWN_SECONDS = 1.0  # open requests get this long; a lab must be gone within 2 s of SIGTERM


def now() -> datetime:
    """Return the time of day."""
    return datetime.now(UTC)


def build(flags: Flags, webhooks: WebhookClient) -> ApiServer:
    """Return the core, configured by the flags."""
    signing_key = flags.service_account_signing_key_file or flags.service_account_key_file
    tokens = Tokens(
        now,
        issuer=flags.service_account_issuer,
        signing_key=read_private_key(signing_key.read_bytes()) if signing_key else None,
        keys=read_public_keys(flags.service_account_key_file.read_bytes()) if flags.service_account_key_file else None,
    )
    static = read_token_file(flags.token_auth_file.read_text()) if flags.token_auth_file else {}
    client_ca = flags.client_ca_file.read_text() if flags.client_ca_file else ""
    authorizes = "AlwaysAllow" not in flags.authorization_mode.split(",")
    return ApiServer(
        now,
        call_webhook=webhooks,
        static_tokens=static,
        tokens=tokens,
        client_ca=client_ca,
        authorizes=authorizes,
    )


async def serve(flags: Flags) -> None:
    """Run until a signal comes."""
    webhooks = WebhookClient()
    server = build(flags, webhooks)
    application = Application(server, KubeletRelay(kubelet_context(flags))).build()
    runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    site = web.TCPSite(runner, flags.bind_address, flags.secure_port, ssl_context=serving_context(flags), backlog=1024)
    await site.start()
    logger.info("serving", address=flags.bind_address, port=runner.addresses[0][1])
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    try:
        await stopped.wait()
    finally:
        await runner.cleanup()
        await webhooks.close()


def main() -> None:
    """Parse the command line and serve."""
    logger.remove()
    logger.add(sys.stderr, diagnose=False)
    asyncio.run(serve(parse_flags(sys.argv[1:])))


if __name__ == "__main__":
    main()
