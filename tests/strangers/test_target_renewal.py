"""A target hands out the next token, as its agent would, and more than that: nothing but a token is taken."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from federation import names
from federation.kube.resources import SECRETS
from tests.lab.planes import eventually
from tests.protocol.federation import Federation, Manifest
from tests.strangers.attempts import ids_of
from tests.strangers.bad_answers import ALIASES
from tests.strangers.hostile import HostileTarget
from tests.strangers.siege import Witness, add_target, assert_good_pods_run, drop_target, encoded, until_ready
from tests.strangers.test_target_answers import until
from tests.strangers.wire import Request, Wire

ISSUER = "issuer"
WRITES_MAX = 3  # of the Secret at home, within LOOP_SECONDS
LOOP_SECONDS = 8.0


@dataclass
class Issuer:
    """A hostile target whose first token is two thirds over; `next` is what its Secret holds."""

    hostile: HostileTarget
    federation: Federation
    next: str = ""
    fetched: int = 0

    async def answer(self, request: Request, wire: Wire) -> None:
        self.fetched += 1
        metadata = {"name": "next", "namespace": "n", "uid": "u", "resourceVersion": "1"}
        await wire.json(
            200, {"kind": "Secret", "apiVersion": "v1", "metadata": metadata, "data": {"config": self.next}}
        )

    async def join(self) -> None:
        """Make the Target."""
        self.hostile.instead("GET", "/secrets/next$", self.answer)  # the first that was set wins
        await add_target(self.federation, ISSUER, self.kubeconfig(token(-900, 100)))
        await until_ready(self.federation, ISSUER, "True")

    def kubeconfig(self, held: str, **user: Any) -> Manifest:
        where = {"namespace": "n", "secret": "next", "key": "config"}
        extensions = [{"name": names.RENEWAL, "extension": where}]
        return self.hostile.kubeconfig(token=held, extensions=extensions, **user)

    async def held(self) -> Manifest:
        """The kubeconfig in the Secret at home."""
        secret = await self.federation.home.get(SECRETS, ISSUER, self.federation.namespace)
        found: Manifest = json.loads(base64.b64decode(secret["data"]["config"]))
        return found


def token(since: float, until_seconds: float, head: str = "e30") -> str:
    """An unsigned token that says when it was issued and when it ends, in seconds from now."""
    claims = {"iat": int(time.time() + since), "exp": int(time.time() + until_seconds)}
    return f"{head}.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.e30"


@pytest.fixture
async def issuer(federation: Federation) -> AsyncIterator[Issuer]:
    async with HostileTarget.running() as hostile:
        made = Issuer(hostile, federation)
        yield made
        await drop_target(federation, ISSUER)


async def test_a_renewal_changes_nothing_but_the_token(issuer: Issuer, federation: Federation) -> None:
    renewed = issuer.kubeconfig(token(0, 9000), exec={"apiVersion": "v1", "command": "touch", "args": ["/tmp/x"]})
    renewed["clusters"][0]["cluster"] = {"server": "http://169.254.169.254", "proxy-url": "http://192.0.2.1"}
    issuer.next = encoded(renewed)
    await issuer.join()
    wanted = renewed["users"][0]["user"]["token"]

    async def took() -> bool:
        return bool((await issuer.held())["users"][0]["user"]["token"] == wanted)

    await eventually(took, "the token was taken")
    held = await issuer.held()
    assert held["clusters"] == issuer.hostile.kubeconfig()["clusters"]
    assert set(held["users"][0]["user"]) == {"token", "extensions"}
    await until_ready(federation, ISSUER, "True")


@pytest.mark.parametrize("attempt", ids_of("test_target_renewal::test_a_renewal_that_is_none"))
async def test_a_renewal_that_is_none(issuer: Issuer, federation: Federation, attempt: str) -> None:
    """What cannot be used is left where it is: the Secret at home stays as it was, the agent too."""
    witness = Witness.of(federation)
    good = token(0, 9000)
    issuer.next = encoded(
        {
            "renewal-bomb": ALIASES,
            "renewal-line-end": issuer.kubeconfig(token(0, 9000, "e30\r\nX-Forged: yes\r\n")),
            "renewal-huge": issuer.kubeconfig(good + "x" * 900_000),
            "renewal-shapes": "users: [5, {user: 7}]\ncontexts: no\n",
        }[attempt]
    )
    await issuer.join()
    before = await issuer.held()
    await until(lambda: issuer.fetched, "the next token was fetched")
    await assert_good_pods_run(federation)
    assert await issuer.held() == before
    witness.assert_lives()


async def test_a_renewal_that_never_ends(issuer: Issuer, federation: Federation) -> None:
    """Each token is good for longer than the last, and all but over: the Secret at home is not written for ever."""
    rounds = 0

    async def answer(request: Request, wire: Wire) -> None:
        nonlocal rounds
        rounds += 1
        issuer.next = encoded(issuer.kubeconfig(token(-9000, 100 + rounds)))
        await issuer.answer(request, wire)

    issuer.hostile.instead("GET", "/secrets/next$", answer)
    await issuer.join()
    await until(lambda: rounds, "the next token was fetched")
    await asyncio.sleep(LOOP_SECONDS)
    assert rounds <= WRITES_MAX
