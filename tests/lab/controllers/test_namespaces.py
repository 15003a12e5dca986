"""A namespace's beginning and end, on the real controllers and on ours."""

from federation.kube.errors import NotFound
from federation.kube.resources import CONFIG_MAPS, NAMESPACES, SERVICE_ACCOUNTS
from tests.lab.planes import Plane, eventually


async def test_a_namespace_gets_an_account_and_the_root_certificate(plane: Plane, space: str) -> None:
    found = await eventually(lambda: plane.api.get(CONFIG_MAPS, "kube-root-ca.crt", space), "the root certificate")
    assert found["data"]["ca.crt"] == plane.site.identities.authority_pem.decode()
    await plane.api.delete(SERVICE_ACCOUNTS, "default", space)
    assert await eventually(lambda: plane.api.get(SERVICE_ACCOUNTS, "default", space), "the account again")


async def test_a_deleted_namespace_takes_everything_along(plane: Plane, space: str) -> None:
    name = await plane.add_namespace(f"{space}-gone")
    await plane.add_pod(name, "p")
    held = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "held", "finalizers": ["example.com/hold"]}}
    await plane.api.create(CONFIG_MAPS, held, name)
    await plane.api.delete(NAMESPACES, name)

    async def going() -> bool:
        return bool((await plane.api.get(CONFIG_MAPS, "held", name))["metadata"].get("deletionTimestamp"))

    assert await eventually(going, "the content going")
    assert (await plane.api.get(NAMESPACES, name))["status"]["phase"] == "Terminating"
    await plane.api.patch(CONFIG_MAPS, "held", {"metadata": {"finalizers": None}}, name)

    async def gone() -> bool:
        try:
            await plane.api.get(NAMESPACES, name)
        except NotFound:
            return True
        return False

    assert await eventually(gone, "the namespace gone")
