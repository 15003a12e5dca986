"""Whether what is in the registry is what the jobs pushed, for the platforms they say. Pure."""

from collections.abc import Mapping

from lab.demo.facts import Facts, Json
from lab.demo.registry_client import Image
from lab.demo.report import Entry, Index, Row


def judge_image(facts: Facts, name: str, digest: str, platform: str | None) -> list[str]:
    """Return what is wrong with an image that a job says it pushed; `platform` is os/arch, empty for an index."""
    prefix = facts.project["container_registry_image_prefix"]
    if not name.startswith(f"{prefix}:"):
        return [f"it pushed {name}, which is not in the project's registry {prefix}"]
    image = facts.images.get(name)
    if image is None:
        return [f"{name} is not in the registry"]
    problems = [] if image.digest == digest else [f"{name} is {image.digest} in the registry; the job pushed {digest}"]
    if image.is_index != (platform == ""):
        kind = "an index" if image.is_index else "a single image"
        problems.append(f"{name} is {kind} in the registry, which is not what the job makes")
    elif platform and (found := _platform(image)) != platform:
        problems.append(f"{name} is for {found}, not for {platform}")
    return problems + [f"{name}: blob {blob} is missing in the registry" for blob in image.missing]


def judge_index(facts: Facts, row: Row, builds: Mapping[str, str]) -> tuple[Index, list[str]]:
    """Return the index that a job published and what is wrong with it; `builds` has the platform of each digest."""
    image = facts.images.get(row.image)
    if image is None or not image.is_index:
        return Index(row.image), []  # said already, of the row
    entries = [_entry(manifest) for manifest in image.manifest["manifests"]]
    problems = []
    for digest, platform in builds.items():
        if digest not in {entry.digest for entry in entries}:
            problems.append(f"the index lacks the {platform} image {digest or '(none was pushed)'}")
    for entry in entries:
        problems += _judge_entry(facts, entry, builds.get(entry.digest, ""))
    return Index(row.image, image.digest, entries), problems


def made_by(facts: Facts, name: str) -> str:
    """Return the version of buildah that made an image, or the images of an index, by its own label."""
    image = facts.images.get(name)
    if image and image.is_index:
        prefix = facts.project["container_registry_image_prefix"]
        found = [facts.images.get(f"{prefix}@{entry['digest']}") for entry in image.manifest["manifests"]]
    else:
        found = [image]
    configs = [one.config["config"] for one in found if one and one.config]
    return ", ".join(sorted({(config.get("Labels") or {}).get("io.buildah.version", "") for config in configs}))


def _judge_entry(facts: Facts, entry: Entry, platform: str) -> list[str]:
    prefix = facts.project["container_registry_image_prefix"]
    image = facts.images.get(f"{prefix}@{entry.digest}")
    if not platform:
        return [f"the index has {entry.digest} for {entry}, which no job pushed"]
    if image is None or image.config is None:
        return [f"the index has {entry.digest} for {entry}, which is not whole in the registry"]
    problems = []
    if f"{entry.os}/{entry.architecture}" != platform:
        problems.append(f"the index has {entry.digest} for {entry}, but it was built for {platform}")
    if entry.os_version != image.config.get("os.version", ""):
        problems.append(f"the index has os.version {entry.os_version!r} for {entry.digest}, the image another")
    if entry.os == "windows" and not entry.os_version:
        problems.append(f"the index has no os.version for {entry}: no Windows node would choose it")
    return problems


def _platform(image: Image) -> str:
    config: Json = image.config or {}
    return f"{config.get('os')}/{config.get('architecture')}"


def _entry(manifest: Json) -> Entry:
    platform = manifest.get("platform") or {}
    return Entry(
        platform.get("os", ""), platform.get("architecture", ""), platform.get("os.version", ""), manifest["digest"]
    )
