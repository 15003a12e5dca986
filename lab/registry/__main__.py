"""`python -m lab.registry --config FILE`: serve until SIGTERM or SIGINT.

Once it listens, one line on stderr names the URL (a port of 0 becomes a real one there).
"""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from aiohttp import web
from loguru import logger

from lab.registry.server import Registry, tls_context
from lab.registry.settings import Settings

_SHUTDOWN_SECONDS = 0.5  # aiohttp waits this twice for open requests; what has not ended 2 s after a signal is killed


async def serve(settings: Settings) -> None:
    """Listen until a signal comes."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    application = Registry(settings).application()
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.bind_address, settings.port, ssl_context=tls_context(settings.tls))
        await site.start()
        port = runner.addresses[0][1]
        logger.info("Registry listens on https://{}:{}", settings.bind_address, port)
        await stop.wait()
    finally:
        await runner.cleanup()


def main() -> None:
    """Read the configuration, set up the log, serve."""
    parser = argparse.ArgumentParser(prog="python -m lab.registry", description="The lab's container registry.")
    parser.add_argument("--config", type=Path, required=True, help="JSON file, see lab/registry/settings.py")
    parser.add_argument("--debug", action="store_true", help="log every request")
    options = parser.parse_args()
    settings = Settings.model_validate_json(options.config.read_bytes())
    logger.remove()
    logger.add(sys.stderr, level="DEBUG" if options.debug else "INFO", diagnose=False, backtrace=False)
    asyncio.run(serve(settings))


if __name__ == "__main__":
    main()
