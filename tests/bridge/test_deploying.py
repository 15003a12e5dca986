"""Steps of a Deployment on a real API server, one by one, with everything that may come between them."""

from dataclasses import dataclass

import pytest

from bridge.cluster import Cluster
from bridge.demand import ProfileDemand
from bridge.deploying import Deployer
from bridge.errors import ConfigurationError
from bridge.gitlab_api import GitLab
from bridge.observed import RunnerDeployment
from bridge.profiles import Profile
from bridge.replicas import Scaling, Step
from bridge.runner_spec import Registered, RunnerSpec
from bridge.runners import RunnerOptions
from federation.kube.api import Api, Manifest
from federation.kube.resources import DEPLOYMENTS
from lab.running import RunningLab
from tests.bridge.gitlab_site import Site

NAME = "gitlab-runner-federated"
# No node has it: the pods are made and wait.
NOWHERE = {"nowhere": "true"}


def profile(**fields: object) -> Profile:
    """A profile in deployment mode."""
    needed = {"name": "arm64", "os": "linux", "arch": "arm64", "tags": ["arm64"], "mode": "deployment"}
    return Profile.model_validate(needed | {"deployment": NAME, "node_selector": NOWHERE} | fields)


@dataclass(slots=True)
class Yard:
    """Where steps are taken."""

    site: Site
    gitlab: GitLab
    cluster: Cluster
    deployer: Deployer
    registered: Registered
    admin: Api
    namespace: str

    async def known(self) -> RunnerDeployment | None:
        """The Deployment as it is now."""
        return (await self.cluster.read_once()).deployments.get("arm64")

    async def step(
        self, step: Step, replicas: int, *, resumes: bool = False, at: RunnerDeployment | None = None, **fields: object
    ) -> None:
        """Take one, decided by what was known `at` some time; by default now."""
        known = at or await self.known()
        wish = ProfileDemand(profile(**fields), (), 0, 0, 0, scaling=Scaling(step, replicas, resumes=resumes))
        await self.deployer.apply(wish, self.registered, known, self.site.now())

    async def replicas(self) -> int:
        """What the API server says."""
        return int((await self.manifest())["spec"]["replicas"])

    async def manifest(self) -> Manifest:
        """The whole Deployment."""
        return await self.admin.get(DEPLOYMENTS, NAME, self.namespace)

    @property
    def is_paused(self) -> bool:
        """What GitLab says."""
        return self.site.state.runners[self.registered.id].is_paused


@pytest.fixture
async def yard(bare_lab: RunningLab, namespace: str, bridge_api: Api, site: Site) -> Yard:
    """A registered runner, and no Deployment yet."""
    gitlab = site.client()
    cluster = Cluster(bridge_api, namespace, "isthmus", has_deployments=True)
    deployer = Deployer(gitlab, cluster, RunnerOptions("isthmus", namespace, 120, 600, 900))
    registered = await gitlab.create_runner("instance", RunnerSpec("isthmus/arm64", ("arm64",), 3600, ""))
    return Yard(site, gitlab, cluster, deployer, registered, bare_lab.api(), namespace)


async def test_from_creation_over_a_pause_to_fewer_replicas_and_back_to_work(yard: Yard) -> None:
    await yard.step(Step.CREATE, 3)
    assert await yard.replicas() == 3
    await yard.step(Step.PAUSE, 3)
    assert yard.is_paused
    known = await yard.known()
    assert known is not None
    assert known.paused_since is not None
    assert not known.keeps_pause
    await yard.step(Step.SHRINK, 1)
    assert await yard.replicas() == 1
    assert yard.is_paused, "until the pods have gone"
    await yard.step(Step.KEEP, 1, resumes=True)
    assert not yard.is_paused
    known = await yard.known()
    assert known is not None
    assert known.paused_since is None


async def test_a_pause_on_record_that_was_never_made_is_made_before_anything_shrinks(yard: Yard) -> None:
    await yard.step(Step.CREATE, 3)
    await yard.step(Step.PAUSE, 3)
    await yard.gitlab.set_paused(yard.registered.id, is_paused=False)  # killed after the one write, before the other
    await yard.step(Step.SHRINK, 1)
    assert await yard.replicas() == 3, "jobs may have been given out since it was seen who is busy"
    assert yard.is_paused
    await yard.step(Step.SHRINK, 1)
    assert await yard.replicas() == 1


async def test_a_pause_that_a_person_made_is_kept(yard: Yard) -> None:
    await yard.step(Step.CREATE, 3)
    await yard.gitlab.set_paused(yard.registered.id, is_paused=True)
    await yard.step(Step.PAUSE, 3)
    await yard.step(Step.SHRINK, 1)
    assert await yard.replicas() == 1
    await yard.step(Step.KEEP, 1, resumes=True)
    assert yard.is_paused


async def test_a_number_that_somebody_changed_meanwhile_is_not_overwritten(yard: Yard) -> None:
    await yard.step(Step.CREATE, 2)
    seen = await yard.known()
    await yard.admin.patch(DEPLOYMENTS, NAME, {"spec": {"replicas": 5}}, yard.namespace)
    await yard.step(Step.RAISE, 3, at=seen)
    assert await yard.replicas() == 5


async def test_a_changed_profile_rolls_the_pods_drops_what_was_removed_and_leaves_replicas(yard: Yard) -> None:
    await yard.step(Step.CREATE, 2, node_selector=NOWHERE | {"zone": "a"})
    await yard.admin.patch(DEPLOYMENTS, NAME, {"spec": {"replicas": 4}}, yard.namespace)
    await yard.step(Step.KEEP, 2)
    assert await yard.replicas() == 4
    made = await yard.manifest()
    assert "zone" not in made["spec"]["template"]["spec"]["nodeSelector"]
    generation = made["metadata"]["generation"]
    await yard.step(Step.KEEP, 2)
    assert (await yard.manifest())["metadata"]["generation"] == generation, "nothing to write, nothing written"


async def test_a_deployment_that_is_not_ours_is_left_alone_and_named(yard: Yard) -> None:
    labels = {"app": "theirs"}
    pods = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "busybox"}]}}
    theirs = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": pods},
    }
    await yard.admin.create(DEPLOYMENTS, theirs, yard.namespace)
    with pytest.raises(ConfigurationError, match=r"is not this bridge's; write another name in the profile's `deploy"):
        await yard.step(Step.CREATE, 1)
    assert (await yard.manifest())["spec"]["selector"]["matchLabels"] == labels
