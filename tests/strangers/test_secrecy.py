"""Rule T9 is checked when a lab ends; here: that the check would see it."""

import secrets

from federation.kube.resources import EVENTS, NODES, SECRETS
from tests.lab.planes import eventually
from tests.protocol.federation import Federation
from tests.secrecy import Secrecy


async def test_T9_a_secret_that_is_told_is_found(federation: Federation, secrecy: Secrecy) -> None:
    """In an Event, an annotation, a log line: each told by intention, each found by itself."""
    home, namespace, planted = federation.home, federation.namespace, {}
    for where in ("event", "annotation", "log"):
        planted[where] = secrets.token_hex(16)
        secrecy.forgive(planted[where])
    async with Secrecy.watching(federation.lab) as watching:
        data = {"stringData": planted | {"never-told": secrets.token_hex(16)}}
        await home.create(
            SECRETS, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "told"}} | data, namespace
        )
        about = {"kind": "Pod", "namespace": namespace, "name": "any"}
        event = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "told"}, "involvedObject": about}
        await home.create(EVENTS, event | {"reason": "Told", "message": f"it is {planted['event']}"}, namespace)
        node = federation.node(federation.lab.source)
        mark = {"metadata": {"annotations": {"example.com/told": f"x{planted['annotation']}"}}}
        await home.patch(NODES, node, mark)
        log = federation.lab.directory.root / "logs" / "told.log"
        log.write_text(f"a line\nwith {planted['log']} in it\n")

        async def all_three() -> list[str] | None:
            lines = [line for line in await watching.told() if f"{namespace}/told" in line]
            return lines if len(lines) >= len(planted) else None

        found = await eventually(all_three, "what was told is found")
        await home.patch(NODES, node, {"metadata": {"annotations": {"example.com/told": None}}})
        log.unlink()
    assert [line.partition("key ")[2] for line in found] == [
        f"annotation is in {federation.lab.source}: Node /{node}",
        "event is in an Event",
        "log is in told.log",
    ]
