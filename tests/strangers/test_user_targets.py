"""alice writes kubeconfigs into her Secrets: what does not lead to a cluster of somebody's leads nowhere."""

import pytest

from federation import names
from federation.kinds import TARGETS
from lab.running import RunningLab
from tests.protocol.federation import Federation
from tests.strangers.attempts import ids_of
from tests.strangers.hostile import HostileTarget
from tests.strangers.siege import Witness, add_target, assert_good_pods_run, new_namespace, until_ready


@pytest.fixture(scope="module")
async def joined(federation_lab: RunningLab) -> Federation:
    """One namespace for all kubeconfigs."""
    federation = Federation(federation_lab, await new_namespace(federation_lab))
    await federation.join()
    return federation


@pytest.mark.parametrize("attempt", ids_of("test_user_targets::test_marks_on_her_own_target"))
async def test_marks_on_her_own_target(joined: Federation, attempt: str) -> None:
    """Annotations of ours that a person may write, with what no person would write in them."""
    marks = {
        "held-secret": [{names.HELD_SECRET: text} for text in ("nothing", "/", "../../x", "kube-system/")],
        "odd-loss": [{names.ACCEPT_LOSS: text} for text in ("0000-00-00", "9999-12-31T23:59:59-14:00", "²")],
    }[attempt]
    witness = Witness.of(joined)
    async with HostileTarget.running() as hostile:
        name = attempt
        await add_target(joined, name, hostile.kubeconfig())
        await until_ready(joined, name, "True")
        for annotations in marks:
            await joined.home.patch(TARGETS, name, {"metadata": {"annotations": annotations}}, joined.namespace)
            await assert_good_pods_run(joined)
        await until_ready(joined, name, "True")
        await joined.home.delete(TARGETS, name, joined.namespace)
        await joined.until(joined.home, TARGETS, name, lambda t: t is None)
    witness.assert_lives()
