"""Turns one container of a pod into an order for the launcher: image, environment, user, places.

`Workshop` is what all pods of a node share. Making an order may find something `Missing`, or the image not in the
catalogue (`NoImage`); both are said in the container's status and tried again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.kubelet import catalogue, commands, view, volume_files
from lab.kubelet.catalogue import Image
from lab.kubelet.environment import command, environment
from lab.kubelet.processes import Order
from lab.kubelet.records import Manifest
from lab.kubelet.sources import Missing, Sources
from lab.kubelet.view import Machine, Placed
from lab.kubelet.volumes import mounts


class NoImage(Exception):
    """The lab has no such image; `reason` is the waiting reason."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Workshop:
    """What the containers of a node are made with."""

    machine: Machine
    commands: commands.Settings
    images: tuple[Image, ...]
    environment: Mapping[str, str]
    visible: tuple[Path, ...]
    hidden: tuple[Path, ...]

    def image(self, reference: str) -> Image:
        """The image of that name. Raises NoImage."""
        try:
            image = catalogue.resolve(reference, self.images)
        except catalogue.InvalidImageName as error:
            raise NoImage("InvalidImageName", str(error)) from error
        if image is None:
            raise NoImage("ErrImagePull", catalogue.absence(reference, self.images))
        return image

    def order(self, pod: Manifest, manifest: Manifest, image: Image, sources: Sources, place: "Place") -> Order:
        """The order that starts the container. Raises Missing, OSError, ValueError where something cannot be had."""
        user, group = _identity(pod, manifest)
        values = environment(pod, manifest, self._given(pod, image, user), sources)
        scripts = commands.scripts(image.commands, self.commands)
        ours = dict.fromkeys(path for script in scripts.values() for path in script.visible)
        security = manifest.get("securityContext") or {}
        return {
            "do": "run",
            "command": command(manifest, image, values),
            "environment": values,
            "directory": manifest.get("workingDir") or image.directory,
            "user": user,
            "group": group,
            "groups": list((pod["spec"].get("securityContext") or {}).get("supplementalGroups") or ()),
            "stop_signal": int(image.stop_signal),
            "terminal": {"rows": 24, "columns": 80} if manifest.get("tty") else None,
            "hostname": hostname(pod),
            "place": str(place.root),
            "read_only_root": bool(security.get("readOnlyRootFilesystem")),
            "no_new_privileges": security.get("allowPrivilegeEscalation") is False,
            "steps": view.steps(
                self.machine,
                hostname=hostname(pod),
                host_aliases=pod["spec"].get("hostAliases") or (),
                scripts={name: script.text for name, script in scripts.items()},
                packages=ours,
                visible=self.visible,
                hidden=self.hidden,
                volumes=[*self._volumes(pod, manifest, values, place), _termination_log(manifest, place)],
            ),
        }

    def _given(self, pod: Manifest, image: Image, user: int) -> dict[str, str]:
        own = {"PATH": view.PATH, "HOME": "/root" if user == 0 else "/", "HOSTNAME": hostname(pod)}
        return {**own, **self.environment, **image.environment}

    def _volumes(self, pod: Manifest, manifest: Manifest, values: Mapping[str, str], place: "Place") -> list[Placed]:
        found = []
        by_name = {volume["name"]: volume for volume in pod["spec"].get("volumes", ())}
        for mount in mounts(manifest, values):
            volume = by_name[mount.volume]
            if "hostPath" in volume:
                source, read_only = self._host_path(volume["hostPath"]["path"]), True
            else:
                source = place.volumes / mount.volume
                read_only = mount.read_only or "emptyDir" not in volume
            if mount.part:
                source = volume_files.part(source, mount.part)
            found.append(Placed(source, mount.target, read_only))
        return found

    def _host_path(self, text: str) -> Path:
        path = Path(text).resolve()
        for hidden in self.hidden:
            if path.is_relative_to(hidden) or hidden.is_relative_to(path):
                raise Missing(f"hostPath {text}: containers of the lab may not see its own directory")
        if not path.exists():
            raise Missing(f"hostPath {text}: not there; the lab mounts host paths read-only and makes none")
        return path


@dataclass(frozen=True, slots=True)
class Place:
    """Where on disk things of one container are."""

    root: Path  # an empty directory to build the file system on
    volumes: Path  # the pod's volumes by name
    termination_log: Path


def hostname(pod: Manifest) -> str:
    """What the container calls itself."""
    return str(pod["spec"].get("hostname") or pod["metadata"]["name"])[:63]


def _identity(pod: Manifest, manifest: Manifest) -> tuple[int, int]:
    merged = {**(pod["spec"].get("securityContext") or {}), **(manifest.get("securityContext") or {})}
    user = int(merged.get("runAsUser") or 0)
    if merged.get("runAsNonRoot") and user == 0:
        message = "container has runAsNonRoot and image will run as root"
        raise Missing(f'{message} (pod: "{pod["metadata"]["name"]}", container: {manifest["name"]})')
    return user, int(merged.get("runAsGroup") or 0)


def _termination_log(manifest: Manifest, place: Place) -> Placed:
    place.termination_log.parent.mkdir(parents=True, exist_ok=True)
    place.termination_log.write_bytes(b"")
    place.termination_log.chmod(0o666)
    target = manifest.get("terminationMessagePath") or view.TERMINATION_LOG
    return Placed(place.termination_log, target, read_only=False)
