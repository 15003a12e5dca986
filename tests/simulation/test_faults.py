"""Whatever goes wrong on the way, the rules hold, and once nothing does any more everything comes right.

Each seed is another course of events (`course.py`). A seed that once showed a fault has a test of its own name.
"""

import asyncio
import json
import sys
from typing import Any

import pytest

_SECONDS = 110  # of real time; a course takes about ten, and on a busy machine ten times as long


async def course(seed: int, rate: float) -> dict[str, Any]:
    """Run one course in a process of its own, where it is the same each time."""
    command = (sys.executable, "-m", "tests.simulation.course", str(seed), "--rate", str(rate))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(_SECONDS):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    outcome: dict[str, Any] = json.loads(output)
    assert outcome["breaches"] == []
    assert outcome["trouble"] == ""
    return outcome


@pytest.mark.parametrize(("seed", "rate"), [(0, 0.15), (1, 0.15), (2, 0.15), (3, 0.3), (4, 0.3), (5, 0.05)])
async def test_the_rules_hold_and_everything_comes_right(seed: int, rate: float) -> None:
    outcome = await course(seed, rate)
    assert {"lost on the way", "answer lost", "refused", "watch ended"} <= set(outcome["happened"])
    assert outcome["kills"] > 0
    assert outcome["started"] > 3


async def test_who_waits_for_an_answer_elsewhere_does_not_make_the_agent_spin() -> None:
    """A pod was woken by one target's line while it waited for another's answer, stood in line again, and so on."""
    for seed in (6, 20):
        await course(seed, 0.15)
