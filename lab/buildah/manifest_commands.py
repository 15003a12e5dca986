"""manifest create, add, annotate, inspect, push, remove, rm and exists."""

import json
from pathlib import Path

from lab.buildah import lists, references, transfer
from lab.buildah.errors import BuildahError
from lab.buildah.session import Session, pairs


def create(session: Session) -> None:
    """Make a list, with images if they are given."""
    options = session.options
    record = lists.create(session.storage, options.name, session.created, is_amending=options.amend)
    for image in options.images:
        lists.add(session.storage, options.name, image, session.reach, session.platform, is_all=options.all)
    session.say(record.identity)


def add(session: Session) -> None:
    """Add an image; platform flags change what the entry says."""
    options = session.options
    added = lists.add(session.storage, options.name, options.image, session.reach, session.platform, is_all=options.all)
    if len(added) == 1:
        lists.annotate(session.storage, options.name, added[0], _platform(session), pairs(options.annotation))
    for digest in added:
        session.say(f"{session.storage.find(options.name).identity}: {digest}")


def annotate(session: Session) -> None:
    """Change what an entry says of its platform, or its annotations."""
    options = session.options
    annotations = pairs(options.annotation)
    digest = lists.annotate(session.storage, options.name, options.image, _platform(session), annotations)
    session.say(f"{session.storage.find(options.name).identity}: {digest}")


def push(session: Session) -> None:
    """Push the images that are not there, and the index."""
    options = session.options
    record = lists.find(session.storage, options.name)
    target = transfer.parse_remote(options.destination or options.name)
    session.note(f"Copying {len(record.entries or [])} images of the list to {target}")
    digest = lists.push(session.storage, record, target, session.reach, options.format)
    session.note("Writing manifest list to image destination")
    if options.digestfile:
        Path(options.digestfile).write_text(digest)
    if options.rm:
        session.storage.remove(record.identity)


def inspect(session: Session) -> None:
    """Print the index, of local storage or of a registry; refuses docker:// as buildah 1.28 does."""
    name = session.options.name
    if name.startswith(references.TRANSPORT):
        raise BuildahError(f"{name}: give the name without {references.TRANSPORT}")
    record = session.storage.look_up(name)
    if record is not None and record.is_list:
        body, _ = lists.index(record)
    else:
        reference = transfer.parse_remote(name)
        body, _ = transfer.fetch_manifest(session.reach(reference), reference)
    session.say(json.dumps(json.loads(body), indent=4))


def remove(session: Session) -> None:
    """Take one image out of a list."""
    lists.remove(session.storage, session.options.name, session.options.digest)
    session.say(session.options.digest)


def rm(session: Session) -> None:
    """Delete lists."""
    for name in session.options.names:
        session.say(session.storage.remove(lists.find(session.storage, name).names[0]))


def exists(session: Session) -> None:
    """Succeed if the list exists."""
    record = session.storage.look_up(session.options.name)
    if record is None or not record.is_list:
        raise BuildahError(f"{session.options.name}: no such manifest list")


def _platform(session: Session) -> dict[str, object]:
    options = session.options
    named = {
        "os": options.os,
        "architecture": options.arch,
        "variant": options.variant,
        "os.version": options.os_version,
        "os.features": options.os_features,
    }
    return {key: value for key, value in named.items() if value}
