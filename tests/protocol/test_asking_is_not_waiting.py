"""The rule F4: a target that does not answer delays nobody's pods but its own.

How long others take meanwhile is measured by `benchmarks.silence`, and on virtual time by `tests/simulation`.
"""

import contextlib
from collections.abc import Iterator

from federation.kube.resources import NODES
from tests.protocol.federation import Federation, condition
from tests.protocol.test_fast import prefer

PODS = 4


async def until_back(federation: Federation, cluster: str) -> None:
    """Wait until a target is used again."""

    def is_ready(node: object) -> bool:
        return bool(isinstance(node, dict) and condition(node, "Ready").get("status") == "True")

    await federation.until(federation.home, NODES, federation.node(cluster), is_ready, namespace="", seconds=60)


def what_may_freeze(federation: Federation, cluster: str) -> Iterator[str]:
    """The programs of a target without which its API server does not answer."""
    for role in ("api-server", "etcd"):
        with contextlib.suppress(StopIteration):
            federation.process(role, cluster)
            yield role


async def test_F4_pods_that_a_frozen_target_was_to_be_asked_for_first_run_elsewhere(federation: Federation) -> None:
    """While it is frozen, and before anybody has found it to be; those that it was given run when it is back."""
    await prefer(federation, "arm-lab")
    assert await federation.until_running(await federation.submit()) == "arm-lab"
    for role in what_may_freeze(federation, "arm-lab"):
        with federation.frozen(role, "arm-lab"):
            own = await federation.submit(only="arm-lab")
            names = [await federation.submit() for _ in range(PODS)]
            assert "arm-lab" not in {await federation.until_running(name) for name in names}
        await until_back(federation, "arm-lab")
        assert await federation.until_running(own, seconds=60) == "arm-lab"
