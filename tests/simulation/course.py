"""One course of events by a seed: `python -m tests.simulation.course FIRST [LAST] [--rate 0.15]`.

Lost requests and answers, conflicts, throttling, broken watches, forgotten history, partings and killed processes,
while a dozen pods come and go; then nothing goes wrong any more, everything has to come right, and to go traceless.
The same seed is the same course, where PYTHONHASHSEED is the same.
"""

import argparse
import asyncio
import json
import os
import random
import sys
from dataclasses import asdict, dataclass

from loguru import logger

from tests.simulation import events, judging
from tests.simulation.federation import OTHERS, World, federation
from tests.simulation.virtual_time import run

PODS, BUSY_SECONDS = 12, 120
RATE = 0.15
HASH_SEED = "0"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a course. `trouble` is empty where all came right; `breaches` are the watcher's."""

    seed: int
    rate: float
    trouble: str
    breaches: tuple[str, ...]
    happened: dict[str, int]
    kills: int
    started: int


def simulate(seed: int, rate: float) -> Outcome:
    """Run one course to its end."""
    random.seed(seed)
    worlds: list[World] = []
    trouble = ""
    try:
        run(_course(seed, rate, worlds))
    except* AssertionError as errors:
        trouble = "; ".join(_messages(errors))
    (world,) = worlds
    return Outcome(
        seed,
        rate,
        trouble,
        (*world.watcher.breaches, *judging.breaches(world)),
        dict(+world.mischief.counts),
        sum(process.kills for cluster in world.clusters.values() for process in cluster.processes.values()),
        sum(len(cluster.kubelet.started) for cluster in world.clusters.values()),
    )


async def _course(seed: int, rate: float, worlds: list[World]) -> None:
    async with federation(seed, rate) as world, asyncio.TaskGroup() as group:
        worlds.append(world)
        wrongs = [
            group.create_task(events.kill_at_random(world, 12)),
            group.create_task(events.part_at_random(world, 40, 25)),
            group.create_task(events.compact_at_random(world, 20)),
            group.create_task(events.meddle_at_random(world, 15)),
        ]
        await asyncio.gather(*(_come_and_go(world, number) for number in range(PODS)))
        for task in wrongs:
            task.cancel()
        world.mischief.calm()
        for name in OTHERS:
            events.join(world, world.clusters[name])
        await judging.until(world, judging.unplaced, "every pod runs or has run, and an audit finds nothing")
        for pod in await judging.pods(world):
            await events.delete(world, pod["metadata"]["name"])
        await judging.until(world, judging.leftovers, "nothing is left")


async def _come_and_go(world: World, number: int) -> None:
    die = world.random
    await asyncio.sleep(die.random() * BUSY_SECONDS)
    seconds = die.choice([None, None, die.randint(1, 60)])
    await events.submit(world, f"p{number}", seconds=seconds, cpu=die.choice(["100m", "500m", "1"]))
    if die.random() < 0.4:
        await asyncio.sleep(die.random() * 60)
        await events.delete(world, f"p{number}")


def _messages(group: BaseExceptionGroup[BaseException]) -> list[str]:
    found: list[str] = []
    for error in group.exceptions:
        found += _messages(error) if isinstance(error, BaseExceptionGroup) else [str(error)]
    return found


def main() -> None:
    """Run the courses of these seeds, one line of JSON for each; exit code 1 if one did not come right."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.course", description=__doc__)
    parser.add_argument("first", type=int, help="the seed, or the first of several")
    parser.add_argument("last", type=int, nargs="?", help="the last one [the first]")
    parser.add_argument("--rate", type=float, default=RATE, help=f"the share of requests that are hit [{RATE}]")
    parser.add_argument("--log", default="ERROR", help="least level of what our programs log [ERROR]")
    options = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != HASH_SEED:
        command = [sys.executable, "-m", "tests.simulation.course", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, "PYTHONHASHSEED": HASH_SEED})  # ourselves again
    logger.remove()
    logger.add(sys.stderr, level=options.log, format="{message} {extra}")
    are_sound = True
    for seed in range(options.first, (options.last or options.first) + 1):
        outcome = simulate(seed, options.rate)
        are_sound &= not (outcome.trouble or outcome.breaches)
        sys.stdout.write(json.dumps(asdict(outcome)) + "\n")
        sys.stdout.flush()
    sys.exit(not are_sound)


if __name__ == "__main__":
    main()
