"""Prepares a pod's volumes before its containers start, and keeps those made of API objects current while they run."""

import asyncio

from loguru import logger

from federation.kube.errors import ApiError
from lab.kubelet import volume_files, volumes
from lab.kubelet.gathering import Gathering
from lab.kubelet.records import Manifest
from lab.kubelet.shared import Shared
from lab.kubelet.sources import Missing, needs_of_volumes


class PodVolumes:
    """The volumes of one pod."""

    def __init__(self, shared: Shared, gathering: Gathering, uid: str) -> None:
        self._shared = shared
        self._gathering = gathering
        self._directory = shared.pod_directory(uid) / "volumes"

    async def prepare(self, pod: Manifest) -> None:
        """Make all volumes have what they are to have. Raises Missing, ApiError, OSError."""
        sources = await self._gathering.gather(pod, needs_of_volumes(pod))
        for volume in pod["spec"].get("volumes", ()):
            directory = self._directory / volume["name"]
            try:
                if volumes.is_written(volume):
                    volume_files.write(directory, volumes.payload(pod, volume, sources))
                elif volumes.kind(volume) == "emptyDir":
                    directory.mkdir(parents=True, exist_ok=True)
                    directory.chmod(0o777)  # as upstream: any user of the pod may write
            except Missing as error:
                raise Missing(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}') from error

    async def keep_current(self, pod: Manifest) -> None:
        """Bring them up to date again and again; what was there stays if its source has gone."""
        if not any(volumes.is_written(volume) for volume in pod["spec"].get("volumes", ())):
            return
        while True:
            await asyncio.sleep(self._shared.volume_refresh_seconds)
            try:
                await self.prepare(pod)
            except (Missing, ApiError, OSError) as error:
                logger.debug("volumes not refreshed", pod=pod["metadata"]["name"], error=str(error)[:200])
