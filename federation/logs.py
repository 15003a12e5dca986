"""One way to log, set up once per process: text on a terminal, JSON in a pod, never the values of variables."""

import sys

from loguru import logger

_TEXT = "{time:HH:mm:ss.SSS} {level: <7} {message} {extra}"


def configure(*, level: str, is_json: bool) -> None:
    """Send log lines of at least `level` to standard error."""
    logger.remove()
    if is_json:
        logger.add(sys.stderr, level=level, serialize=True, diagnose=False, backtrace=False)
    else:
        logger.add(sys.stderr, level=level, format=_TEXT, diagnose=False, backtrace=False)
