"""Keeps true: each profile has one runner at GitLab, alive there, and a Secret with a token GitLab accepts.

A token is shown once, when a runner is created or its token reset. The order of writes makes every crash harmless:
a runner that was created but whose token was not stored is found again by its description and gets a new token; if
the Secret cannot be written, a runner made just now is deleted, and an adopted one keeps a token nobody knows.

The sign of life matters most when a profile has no pods: GitLab fails pending jobs whose runners are all offline.
It is sent under the bridge's own system id: under a pod's, GitLab would keep the bridge's features for that pod.
"""

import base64
import platform
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from loguru import logger
from pydantic import SecretStr

from bridge import names, runner_toml, runners
from bridge.cluster import Cluster
from bridge.errors import GitLabMissing, RunnerTokenRejected
from bridge.gitlab_api import GitLab
from bridge.profiles import Profile
from bridge.runner_spec import Registered, RunnerSpec
from bridge.runners import RunnerOptions
from federation.kube.api import Manifest
from federation.kube.errors import ApiError
from federation.model.reading import whole


class Registrar:
    """Registers profiles and remembers what it registered; everything it remembers can be found again."""

    def __init__(
        self, gitlab: GitLab, cluster: Cluster, options: RunnerOptions, *, scope: str, runner_url: str, version: str
    ) -> None:
        self._gitlab = gitlab
        self._cluster = cluster
        self._options = options
        self._scope = scope
        self._runner_url = runner_url
        self._info = {
            "name": "isthmus-bridge",
            "version": version,
            "platform": "linux",
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()),
        }
        self._known: dict[str, tuple[Registered, datetime]] = {}  # and when GitLab last heard of it

    async def ensure(self, profile: Profile, now: datetime, every: timedelta) -> Registered:
        """Register a profile if need be, and show a sign of life if the last one is older than `every`."""
        known = self._known.get(profile.name)
        if known and now - known[1] < every:
            return known[0]
        registered = await self._verified(profile, await self.stored(profile) or await self._acquire(profile))
        await self._correct(profile, registered)
        self._known[profile.name] = registered, now
        logger.debug("runner alive", profile=profile.name, runner=registered.id)
        return registered

    def forget(self, profile: str) -> None:
        """Look at everything again at the next `ensure`."""
        self._known.pop(profile, None)

    async def stored(self, profile: Profile) -> Registered | None:
        """Return the runner and token that the Secret holds, without asking GitLab."""
        manifest = await self._cluster.secret(self._secret_name(profile))
        data = (manifest or {}).get("data") or {}
        number = (manifest or {}).get("metadata", {}).get("annotations", {}).get(names.RUNNER_ID, "")
        try:
            token = base64.b64decode(data.get("token") or "").decode()
        except ValueError:  # damaged: as good as none, and written anew
            return None
        runner = whole(number)
        return Registered(runner, SecretStr(token)) if token and runner else None

    async def _verified(self, profile: Profile, registered: Registered) -> Registered:
        """Return a registration that GitLab accepts. A first rejection may be a hiccup of a proxy: ask twice."""
        for _ in range(2):
            try:
                runner_id = await self._verify(registered.token)
            except RunnerTokenRejected:
                continue
            return Registered(runner_id, registered.token)
        logger.warning("runner's token is rejected", profile=profile.name, runner=registered.id)
        renewed = await self._acquire(profile)
        await self._verify(renewed.token)
        return renewed

    async def _verify(self, token: SecretStr) -> int:
        system_id = names.system_id(f"bridge {self._options.bridge}")
        return await self._gitlab.verify(token, system_id, self._info)

    async def _acquire(self, profile: Profile) -> Registered:
        """Get a fresh token, for the runner we find or for a new one, and store it."""
        description = names.runner_name(self._options.bridge, profile.name)
        found = await self._gitlab.find_runners(self._scope, description)
        if len(found) > 1:
            logger.warning("several runners carry our mark; using the oldest", profile=profile.name, runners=found)
        if found:
            registered = await self._gitlab.reset_token(found[0])
            await self._store(profile, registered)
            logger.info("runner adopted", profile=profile.name, runner=registered.id)
        else:
            registered = await self._gitlab.create_runner(self._scope, self._spec(profile))
            await self._store_new(profile, registered)
            logger.info("runner created", profile=profile.name, runner=registered.id, tags=profile.tags)
        return registered

    async def _store_new(self, profile: Profile, registered: Registered) -> None:
        try:
            await self._store(profile, registered)
        except ApiError:
            await self._gitlab.delete_runner(registered.id)
            raise

    async def _store(self, profile: Profile, registered: Registered) -> None:
        await self._cluster.write_secret(self._secret(profile, registered))

    async def _correct(self, profile: Profile, registered: Registered) -> None:
        """Make the runner at GitLab, and the Secret, what profile and settings say now."""
        try:
            row = await self._gitlab.runner(registered.id)
        except GitLabMissing:
            logger.warning("runner is not visible to the bridge's token", profile=profile.name, runner=registered.id)
            return
        if not _is_as_specified(row, self._spec(profile)):
            await self._gitlab.update_runner(registered.id, self._spec(profile))
            logger.info("runner corrected", profile=profile.name, runner=registered.id, tags=profile.tags)
        wanted = self._secret(profile, registered)
        stored = await self._cluster.secret(self._secret_name(profile))
        if stored is None or stored.get("data") != wanted["data"]:
            await self._cluster.write_secret(wanted)

    def _spec(self, profile: Profile) -> RunnerSpec:
        return RunnerSpec(
            description=names.runner_name(self._options.bridge, profile.name),
            tags=profile.tags,
            maximum_timeout_seconds=profile.maximum_timeout_seconds,
            note=f"Managed by Isthmus' bridge {self._options.bridge}. Its pods are in Kubernetes, namespace "
            f"{self._options.namespace}. Changes made here are undone: edit the profile {profile.name} instead.",
        )

    def _secret(self, profile: Profile, registered: Registered) -> Manifest:
        token = registered.token.get_secret_value()
        config = runner_toml.render(
            profile,
            name=self._secret_name(profile),
            url=self._runner_url,
            runner_id=registered.id,
            token=token,
            namespace=self._options.namespace,
            has_ca=bool(self._options.ca_config_map),
        )
        return runners.secret(self._options, profile, registered.id, token, config)

    def _secret_name(self, profile: Profile) -> str:
        return names.secret_name(self._options.bridge, profile.name)


def _is_as_specified(row: Mapping[str, Any], spec: RunnerSpec) -> bool:
    return (
        set(row.get("tag_list") or ()) == set(spec.tags)
        and row.get("run_untagged") is False
        and row.get("maximum_timeout") == spec.maximum_timeout_seconds
    )
