"""Tries once, at the start, whether this machine lets us make containers; if not, says what is switched off."""

import os
from pathlib import Path

from lab.kubelet import processes
from lab.kubelet.view import PATH, Machine, steps

_SWITCHES = {
    Path("/proc/sys/user/max_user_namespaces"): ("0", "sysctl user.max_user_namespaces=15000"),
    Path("/proc/sys/kernel/unprivileged_userns_clone"): ("0", "sysctl kernel.unprivileged_userns_clone=1"),
    Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"): (
        "1",
        "sysctl kernel.apparmor_restrict_unprivileged_userns=0",
    ),
}


class Unable(Exception):
    """This machine cannot give containers a view of their own; the message says why and what to do."""


async def check(root: Path) -> None:
    """Make a container that does nothing. Raises Unable."""
    place = root / "preflight"
    place.mkdir(parents=True, exist_ok=True)
    view = steps(
        Machine.look(),
        hostname="preflight",
        host_aliases=(),
        scripts={},
        packages=(),
        visible=(),
        hidden=(root,),
        volumes=(),
    )
    order = {
        "do": "run",
        "command": ["true"],
        "environment": {"PATH": PATH},
        "directory": "/",
        "user": 0,
        "group": 0,
        "groups": [],
        "terminal": None,
        "hostname": "preflight",
        "place": str(place),
        "read_only_root": False,
        "no_new_privileges": False,
        "steps": view,
    }
    try:
        process = await processes.start(order, has_stdin=False)
        await process.wait()
    except (processes.StartFailed, OSError) as error:
        raise Unable(
            f"containers need user and mount namespaces, and this machine gives none: {error}{_advice()}"
        ) from error
    finally:
        place.rmdir()


def _advice() -> str:
    found = [
        advice
        for path, (off, advice) in _SWITCHES.items()
        if path.exists() and path.read_text(encoding="ascii").strip() == off
    ]
    if found:
        return ". Try as root: " + "; ".join(found)
    if os.geteuid() != 0:
        return ". Inside another container, that one must be allowed CAP_SYS_ADMIN or unconfined seccomp and AppArmor"
    return ". Inside another container, start that one with --privileged or --cap-add SYS_ADMIN"
