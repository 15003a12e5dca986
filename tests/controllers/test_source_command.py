"""`isthmus source` as its user runs it, against either engine."""

import asyncio
import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from federation.kinds import POD_CHAPERONS, SOURCES
from federation.kube.api import Api, connect
from federation.kube.errors import Forbidden
from federation.kube.resources import ROLE_BINDINGS, SECRETS
from tests.controllers.letting_in import Site, agent, allowed, new_site, refused
from tests.lab.planes import eventually
from tests.source_plane import Source

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def site(source: Source) -> Site:
    return await new_site(source)


async def may_look(guest: Api, namespace: str) -> bool:
    return await allowed(guest.list(POD_CHAPERONS, namespace))


async def isthmus(site: Site, *arguments: str, kubeconfig: Path | None = None) -> tuple[int, str, str]:
    """Run a command with the administrator's kubeconfig (or another) in the environment, as people have it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "isthmus", "source", *arguments),
        cwd=ROOT,
        env=os.environ | {"KUBECONFIG": str(kubeconfig or site.plane.plane.site.admin_kubeconfig)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_the_kubeconfig_to_hand_over_is_printed_and_works(site: Site) -> None:
    async with agent(site.plane):
        await site.make("cd", {"serviceAccountName": "cd"})
        made = await site.until("cd", "Issued", kind="CredentialIssued")
    code, out, err = await isthmus(site, "kubeconfig", "cd", "-n", site.namespace)
    assert (code, err) == (0, "")
    issued: dict[str, Any] = json.loads(out)
    assert issued == await site.credential(made)
    code, out, err = await isthmus(site, "kubeconfig", "cd", "-n", site.namespace, "--duration", "30m")
    assert (code, err) == (0, "")
    own = json.loads(out)
    assert own["clusters"][0]["cluster"] == issued["clusters"][0]["cluster"]
    assert "extensions" not in own["users"][0]["user"]
    for kubeconfig in (issued, own):
        async with await connect(kubeconfig) as guest:
            await eventually(partial(may_look, guest, site.namespace), "it works")
            with pytest.raises(Forbidden):
                await guest.list(POD_CHAPERONS, "default")


@pytest.mark.parametrize("role", ["admin", "edit"])
async def test_t3_a_namespaces_own_admin_gets_the_first_by_a_right_of_their_own(
    site: Site, tmp_path: Path, role: str
) -> None:
    """They read nothing in the agent's namespace; what they get is renewed there, and ends with the Source."""
    owner = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "owner"}
    role_ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
    binding = {"apiVersion": ROLE_BINDINGS.api_version, "kind": "RoleBinding", "metadata": {"name": "owner"}}
    await site.admin.create(ROLE_BINDINGS, binding | {"roleRef": role_ref, "subjects": [owner]}, site.namespace)
    file = tmp_path / "owner.json"
    file.write_text(json.dumps(site.plane.kubeconfig("owner")))
    async with agent(site.plane):
        await site.make("cd", {"serviceAccountName": "cd"})
        made = await site.until("cd", "Issued", kind="CredentialIssued")
        async with await connect(file) as api:

            async def may_ask() -> bool:
                return await allowed(api.get(SOURCES, "cd", site.namespace))

            await eventually(may_ask, "the owner's rights")
            with pytest.raises(Forbidden):
                await api.get(SECRETS, site.secret, "isthmus")
        code, out, err = await isthmus(site, "kubeconfig", "cd", "-n", site.namespace, kubeconfig=file)
        assert (code, err) == (0, "")
        handed, issued = json.loads(out), await site.credential(made)
        assert handed["clusters"][0]["cluster"] == issued["clusters"][0]["cluster"]
        assert handed["users"][0]["user"]["extensions"] == issued["users"][0]["user"]["extensions"]
        assert handed["users"][0]["user"]["token"] != issued["users"][0]["user"]["token"]
        async with await connect(handed) as guest:
            await eventually(partial(may_look, guest, site.namespace), "it works")
            assert (await guest.get(SECRETS, site.secret, "isthmus"))["data"], "and is renewed"
            await site.admin.delete(SOURCES, "cd", site.namespace)
            await eventually(lambda: refused(guest), "it ends with the Source")


async def test_the_list_is_there_for_people_and_programs(site: Site) -> None:
    async with agent(site.plane):
        await site.make("cd", {"serviceAccountName": "cd"})
        made = await site.until("cd", "Issued", kind="CredentialIssued")
    code, out, _ = await isthmus(site, "list", "--json")
    (row,) = [row for row in json.loads(out) if row["namespace"] == site.namespace]
    assert code == 0
    assert row == {
        "kind": "Source",
        "namespace": site.namespace,
        "name": "cd",
        "ready": True,
        "user": "",
        "serviceAccount": f"{site.namespace}/cd",
        "secret": f"isthmus/{site.secret}",
        "expires": made["status"]["credential"]["expiresAt"],
        "reason": "Bound",
        "message": "its roles are bound",
    }
    code, out, _ = await isthmus(site, "list")
    (line,) = [line for line in out.splitlines() if site.namespace in line]
    assert line.split()[:4] == ["Source", site.namespace, "cd", "yes"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["cd"], "no Source cd in namespace default"),
        (["cd", "--cluster"], "no ClusterSource cd"),
        (["by-user", "-n", "{}"], "has no service account, only user 'someone'"),
        (["unseen", "-n", "{}"], "no credential is issued: no agent has looked at it yet"),
        (["unseen", "-n", "{}", "--duration", "5m"], "--duration 5m: a number and s, m, h or d, at least 10m"),
        (["unseen", "-n", "{}", "--server", "https://x"], "--server: only with --duration"),
    ],
)
async def test_what_cannot_be_done_is_said_in_one_line(site: Site, arguments: list[str], said: str) -> None:
    await site.make("by-user", {"userName": "someone"})
    await site.make("unseen", {"serviceAccountName": "cd"})
    code, out, err = await isthmus(site, "kubeconfig", *(one.format(site.namespace) for one in arguments))
    assert (code, out) == (1, "")
    assert said in err
    assert len(err.splitlines()) == 1


async def test_a_server_that_does_not_answer_is_named(tmp_path: Path, site: Site) -> None:
    missing = tmp_path / "none"
    code, _, err = await isthmus(site, "list", "--kubeconfig", str(missing))
    assert code == 1
    assert str(missing) in err
