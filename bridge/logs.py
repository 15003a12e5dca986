"""Where log lines go: stderr, as text for people or as JSON in a pod. Configured once, by the command line."""

import sys

from loguru import logger

_TEXT = "{time:HH:mm:ss.SSS} {level: <7} {message} {extra}"


def configure(*, level: str, is_json: bool) -> None:
    """Send log lines to stderr. `diagnose` stays off: it would print the values of variables, tokens among them."""
    logger.remove()
    if is_json:
        logger.add(sys.stderr, level=level, serialize=True, diagnose=False, backtrace=False)
    else:
        logger.add(sys.stderr, level=level, format=_TEXT, diagnose=False, backtrace=False)
