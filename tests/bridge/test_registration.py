"""Runners and tokens: a real API server with the bridge's rights, and the lab's GitLab."""

import base64
import tomllib
from datetime import timedelta

import pytest

from bridge.cluster import Cluster
from bridge.profiles import Profile
from bridge.registration import Registrar
from bridge.runner_spec import Registered
from bridge.runners import RunnerOptions
from federation.kube.api import Api
from federation.kube.errors import Forbidden
from federation.kube.resources import SECRETS
from lab.running import RunningLab
from tests.bridge.gitlab_site import Site

ARM = Profile(name="arm64", os="linux", arch="arm64", tags=("arm64",))
SECRET = "isthmus-runner-arm64"
EVERY = timedelta(minutes=20)


def registrar(site: Site, api: Api, namespace: str) -> Registrar:
    """A bridge's registrar that has just started."""
    options = RunnerOptions("isthmus", namespace, 120, 600, 900)
    cluster = Cluster(api, namespace, "isthmus")
    return Registrar(site.client(), cluster, options, scope="instance", runner_url=site.url, version="0.1.0")


async def config_of(lab: RunningLab, namespace: str) -> dict[str, object]:
    """The runner's entry of the config.toml in the Secret."""
    secret = await lab.api().get(SECRETS, SECRET, namespace)
    (runner,) = tomllib.loads(base64.b64decode(secret["data"]["config.toml"]).decode())["runners"]
    assert base64.b64decode(secret["data"]["token"]).decode() == runner["token"]
    return dict(runner)


async def test_a_profile_gets_a_runner_and_a_secret_that_gitlab_accepts(
    bare_lab: RunningLab, namespace: str, bridge_api: Api, site: Site
) -> None:
    registered = await registrar(site, bridge_api, namespace).ensure(ARM, site.now(), EVERY)
    (runner,) = site.runners()
    config = await config_of(bare_lab, namespace)
    assert (config["id"], config["url"], config["token"]) == (runner.id, site.url, runner.token)
    assert registered == Registered(runner.id, registered.token)
    assert (runner.tags, runner.run_untagged, runner.maximum_timeout_seconds) == (("arm64",), False, 3600)
    assert "Managed by Isthmus" in runner.maintenance_note
    assert len(runner.managers) == 1, "its first sign of life"


async def test_after_a_restart_nothing_is_created_again(
    bare_lab: RunningLab, namespace: str, bridge_api: Api, site: Site
) -> None:
    first = await registrar(site, bridge_api, namespace).ensure(ARM, site.now(), EVERY)
    again = await registrar(site, bridge_api, namespace).ensure(ARM, site.now(), EVERY)
    assert again == first
    assert len(site.runners()) == 1


async def test_after_the_secret_was_lost_the_runner_is_adopted_with_a_new_token(
    bare_lab: RunningLab, namespace: str, bridge_api: Api, site: Site
) -> None:
    running = registrar(site, bridge_api, namespace)
    first = await running.ensure(ARM, site.now(), EVERY)
    await bare_lab.api().delete(SECRETS, SECRET, namespace)
    found = await running.ensure(ARM, site.now() + EVERY, EVERY)
    assert found.id == first.id
    assert found.fingerprint != first.fingerprint
    assert (await config_of(bare_lab, namespace))["token"] == site.runners()[0].token


async def test_a_rejected_token_is_replaced(bare_lab: RunningLab, namespace: str, bridge_api: Api, site: Site) -> None:
    running = registrar(site, bridge_api, namespace)
    first = await running.ensure(ARM, site.now(), EVERY)
    await site.client().reset_token(first.id)  # by someone else
    second = await running.ensure(ARM, site.now() + EVERY, EVERY)
    assert second.id == first.id
    assert (await config_of(bare_lab, namespace))["token"] == site.runners()[0].token


async def test_a_runner_that_was_deleted_is_created_anew(
    bare_lab: RunningLab, namespace: str, bridge_api: Api, site: Site
) -> None:
    running = registrar(site, bridge_api, namespace)
    first = await running.ensure(ARM, site.now(), EVERY)
    await site.client().delete_runner(first.id)
    second = await running.ensure(ARM, site.now() + EVERY, EVERY)
    assert [runner.id for runner in site.runners()] == [second.id]
    assert (await config_of(bare_lab, namespace))["id"] == second.id


async def test_a_runner_whose_token_cannot_be_stored_is_not_left_behind(
    bare_lab: RunningLab, namespace: str, bridge_api: Api, site: Site
) -> None:
    nowhere = Profile(name="secretless", os="linux", arch="arm64", tags=("x",))  # the role does not name its Secret
    running = registrar(site, bridge_api, "kube-public")
    with pytest.raises(Forbidden):
        await running._store_new(nowhere, await site.client().create_runner("instance", running._spec(nowhere)))
    assert site.runners() == []


async def test_a_changed_profile_changes_the_runner_and_the_config(
    bare_lab: RunningLab, namespace: str, bridge_api: Api, site: Site
) -> None:
    await registrar(site, bridge_api, namespace).ensure(ARM, site.now(), EVERY)
    changed = ARM.model_copy(update={"tags": ("arm64", "aarch64"), "maximum_timeout_seconds": 7200})
    await registrar(site, bridge_api, namespace).ensure(changed, site.now(), EVERY)
    (runner,) = site.runners()
    assert (runner.tags, runner.maximum_timeout_seconds) == (("arm64", "aarch64"), 7200)


async def test_trap_2_5_a_profile_without_pods_keeps_its_jobs_from_being_stuck(
    bare_lab: RunningLab, namespace: str, bridge_api: Api, site: Site
) -> None:
    running = registrar(site, bridge_api, namespace)
    await running.ensure(ARM, site.now(), EVERY)
    (kept,) = site.push(build=["arm64"])
    for _ in range(30):
        site.pass_time(minutes=10)
        await running.ensure(ARM, site.now(), EVERY)
    assert not site.is_stuck(kept), "five hours without a pod, but with signs of life"

    site.pass_time(hours=3)
    assert site.is_stuck(kept), "without them, this GitLab gives the job up"
    (runner,) = site.runners()
    (manager,) = runner.managers.values()
    assert manager.info["name"] == "isthmus-bridge", "one manager of its own, however often it calls"
