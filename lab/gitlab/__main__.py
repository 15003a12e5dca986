"""`python -m lab.gitlab --config F`: serves until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from loguru import logger
from pydantic import ValidationError

from lab.gitlab.server import serving
from lab.gitlab.settings import Settings, read_settings


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.gitlab", description="The lab's GitLab server.")
    parser.add_argument("--config", type=Path, required=True, help="JSON file; fields in lab/gitlab/settings.py")
    path = parser.parse_args().config
    try:
        settings = read_settings(path)
    except (OSError, ValidationError) as error:
        parser.exit(1, f"{path}: {error}\n")
    logger.remove()
    logger.add(sys.stderr, format="{time:HH:mm:ss.SSS} {level:<7} {message} {extra}", diagnose=False)
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving(settings):
        await stop.wait()


if __name__ == "__main__":
    main()
