"""Throwing a source out: whatever it had kept for later is worth nothing."""

from federation.kinds import POD_CHAPERONS, SOURCES
from federation.kube.errors import Forbidden, NotFound, Unauthorized
from federation.kube.resources import CONFIG_MAPS
from tests.lab.planes import eventually
from tests.protocol.federation import Federation
from tests.strangers.thief import Thief, let_in


async def test_a_token_in_hand_is_worth_nothing(federation: Federation) -> None:
    async with let_in(federation) as thief:
        assert await _may_look(thief)
        await thief.owner.delete(SOURCES, "thief", thief.namespace)
        await eventually(lambda: _may_not(thief), "the token is worth nothing", 30)
        assert await _is_unknown(thief), "a token that still says who you are can be given rights again by mistake"


async def _may_look(thief: Thief) -> bool:
    try:
        await thief.api.list(POD_CHAPERONS, thief.namespace)
    except (Forbidden, Unauthorized):
        return False
    return True


async def _may_not(thief: Thief) -> bool:
    return not await _may_look(thief)


async def _is_unknown(thief: Thief) -> bool:
    """Whether the API server no longer takes the token at all, soon after."""

    async def look() -> bool:
        try:
            await thief.api.get(CONFIG_MAPS, "any", thief.namespace)
        except Unauthorized:
            return True
        except (Forbidden, NotFound):
            return False
        return False

    return bool(await eventually(look, "the token is not taken any more", 30))
