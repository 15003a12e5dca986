"""What the demo shows while it runs: one block per job that is kept current, or one line per change.

A terminal gets the block; a file or a pipe gets lines, each with the seconds since the start.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from lab.demo.journey import Journey, changes
from lab.demo.tables import short

_COLOURS = {"success": "green", "running": "yellow", "failed": "red", "canceled": "red"}
_REFRESH_PER_SECOND = 4  # the seconds of running jobs count up


class Screen(Protocol):
    """Where the demo tells what happens."""

    def say(self, line: str) -> None:
        """Say something that stays."""

    def show(self, journeys: Sequence[Journey]) -> None:
        """Show where the jobs are now."""

    def finish(self) -> None:
        """Leave what was shown last as it is."""


class LineScreen:
    """One line per change."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: Sequence[Journey] = ()
        self._started = time.monotonic()

    def say(self, line: str) -> None:
        """Say something that stays."""
        self._console.print(Text(line), soft_wrap=True)

    def show(self, journeys: Sequence[Journey]) -> None:
        """Say what has changed."""
        for line in changes(self._shown, journeys):
            self.say(f"{time.monotonic() - self._started:5.1f} s  {line}")
        self._shown = journeys

    def finish(self) -> None:
        """Nothing to do: all has been said."""


class LiveScreen:
    """One block that is kept current."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None

    def say(self, line: str) -> None:
        """Say something that stays, above the block."""
        self._console.print(Text(line, style="dim"), soft_wrap=True)

    def show(self, journeys: Sequence[Journey]) -> None:
        """Show where the jobs are now."""
        if self._live is None:
            self._live = Live(console=self._console, refresh_per_second=_REFRESH_PER_SECOND)
            self._live.start()
        self._live.update(block(journeys))

    def finish(self) -> None:
        """Leave the block as it is now."""
        if self._live is not None:
            with suppress(OSError):  # the terminal may be gone
                self._live.stop()
            self._live = None


def block(journeys: Sequence[Journey]) -> Group:
    """All jobs, five lines each, of at most 80 columns with the names of the lab."""
    return Group(*(_lines(journey) for journey in journeys))


def screen_for(console: Console) -> Screen:
    """The screen that suits the console."""
    return LiveScreen(console) if console.is_terminal else LineScreen(console)


def _lines(journey: Journey) -> Text:
    colour = _COLOURS.get(journey.status, "dim")
    seconds = f" {journey.seconds:.1f} s" if journey.seconds else ""
    head = Text.assemble(
        (f"{journey.job}", "bold"), f"  tag {journey.tag}  ", (f"{journey.status}{seconds}", colour), no_wrap=True
    )
    steps = {
        "runner pod": journey.runner_pod + (f"  {journey.waits_for}" if journey.waits_for else ""),
        "virtual node": journey.virtual_node,
        "delegate": f"{journey.cluster} / {journey.node}" if journey.node else "",
        "registry": f":{journey.image.rpartition(':')[2]}  {short(journey.digest)}" if journey.digest else "",
    }
    for name, value in steps.items():
        head.append(f"\n  -> {name:<13}", "" if value else "dim")
        head.append(value or "-", "cyan" if value else "dim")
    head.overflow = "ellipsis"
    return head
