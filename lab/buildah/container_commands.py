"""from, copy, add, config, commit, containers and rm: an image made step by step, in a working container on disk.

Every `copy` makes a layer at once, so that nothing of the context is needed later.
"""

import json
import re
import shlex
from pathlib import Path
from typing import Any

from lab.buildah import image_commands
from lab.buildah.build import absolute, owner
from lab.buildah.copying import Context, Order, Stage, copy
from lab.buildah.errors import BuildahError
from lab.buildah.images import Draft, commit, draft_from_json
from lab.buildah.references import Platform
from lab.buildah.session import Session, names, pairs


def start(session: Session) -> None:
    """Make a working container from an image or from nothing; prints its name."""
    options, platform = session.options, session.platforms[0]
    draft = Draft(platform) if options.image == "scratch" else session.base(options.image, platform)
    if options.image == "scratch":
        stem = "working-container"
    else:
        last = options.image.rpartition("/")[2].partition(":")[0].partition("@")[0]
        stem = f"{last}-working-container"
    name = options.name or _free(session, stem)
    if _path(session, name).exists():
        raise BuildahError(f"the container name {name} is already in use")
    _save(session, name, draft)
    session.say(name)


def copy_in(session: Session) -> None:
    """Copy files into a container, as COPY (or ADD) does."""
    options = session.options
    draft = _load(session, options.container)
    workdir = draft.config.get("WorkingDir") or "/"
    *sources, destination = options.sources if len(options.sources) > 1 else [*options.sources, workdir + "/"]
    mode = int(options.chmod, 8) if options.chmod else None
    order = Order(
        sources,
        absolute(workdir, destination),
        owner(options.chown),
        mode,
        is_unpacking=options.command == "add",
    )
    base = draft.base(session.storage)
    if options.stage:
        source_draft = _load_or_pull(session, options.stage)
        copy(order, Stage(source_draft.tree(session.storage)), draft.files, base)
    else:
        root = Path(options.contextdir) if options.contextdir else Path("/")
        order = order if options.contextdir else _from_here(order)
        copy(order, Context(root), draft.files, base)
    draft.freeze(session.storage)
    _save(session, options.container, draft)


def configure(session: Session) -> None:
    """Change what the image will say of itself."""
    options = session.options
    draft = _load(session, options.container)
    have = draft.platform
    draft.platform = Platform(
        options.os or have.os,
        options.arch or have.architecture,
        options.variant or have.variant,
        options.os_version or have.os_version,
    )
    draft.author = options.author or draft.author
    changes: dict[str, Any] = {
        "Cmd": None if options.cmd is None else _command(options.cmd),
        "Entrypoint": None if options.entrypoint is None else _entrypoint(options.entrypoint),
        "User": options.user,
        "WorkingDir": options.workingdir,
        "StopSignal": options.stop_signal,
        "Labels": {**(draft.config.get("Labels") or {}), **pairs(options.label)},
        "ExposedPorts": {**(draft.config.get("ExposedPorts") or {}), **{_port(one): {} for one in options.port or []}},
        "Volumes": {**(draft.config.get("Volumes") or {}), **{one: {} for one in options.volume or []}},
    }
    draft.config.update({key: value for key, value in changes.items() if value is not None})
    for name, value in pairs(options.env).items():
        draft.set_environment(name, value)
    _save(session, options.container, draft)


def commit_container(session: Session) -> None:
    """Make an image of a container; prints its id."""
    options = session.options
    draft = _load(session, options.container)
    record = commit(
        session.storage, draft, names([options.name] if options.name else []), session.format, session.created
    )
    if options.iidfile:
        Path(options.iidfile).write_text(f"sha256:{record.identity}")
    if options.rm:
        _path(session, options.container).unlink()
    session.say(record.identity)


def show(session: Session) -> None:
    """List working containers."""
    for name in _all(session):
        session.say(name)


def rm(session: Session) -> None:
    """Remove working containers."""
    for name in _all(session) if session.options.all else session.options.containers:
        _load(session, name)
        _path(session, name).unlink()
        session.say(name)


def inspect(session: Session) -> None:
    """Print a container if it is one, else an image."""
    options = session.options
    is_container = re.fullmatch(r"[\w.-]+", options.name) and _path(session, options.name).exists()
    if options.type in ("image", "manifest") or not is_container:
        image_commands.inspect(session)
        return
    draft = _load(session, options.name)
    session.say(json.dumps({"Container": options.name, "OCIv1": {"config": draft.config}}, indent=4))


def _path(session: Session, name: str) -> Path:
    if not re.fullmatch(r"[\w][\w.-]*", name):
        raise BuildahError(f"container {name}: want letters, digits and . _ -")
    return session.storage.containers / f"{name}.json"


def _all(session: Session) -> list[str]:
    return sorted(path.stem for path in session.storage.containers.glob("*.json"))


def _free(session: Session, stem: str) -> str:
    taken, number, name = set(_all(session)), 0, stem
    while name in taken:
        number, name = number + 1, f"{stem}-{number + 1}"
    return name


def _load(session: Session, name: str) -> Draft:
    path = _path(session, name)
    if not path.exists():
        raise BuildahError(f"container {name}: not known (buildah from)")
    return draft_from_json(json.loads(path.read_bytes()))


def _load_or_pull(session: Session, name: str) -> Draft:
    return _load(session, name) if name in _all(session) else session.base(name, session.platform)


def _save(session: Session, name: str, draft: Draft) -> None:
    with session.storage.incoming() as file:
        file.write_text(json.dumps(draft.to_json()))
        file.replace(_path(session, name))


def _from_here(order: Order) -> Order:
    """Sources relative to the working directory, as a command line means them."""
    here = [str(Path.cwd() / one) for one in order.sources]
    return Order(here, order.destination, order.owner, order.mode, order.is_unpacking)


def _command(text: str) -> list[str]:
    return _entrypoint(text) if text.startswith("[") else shlex.split(text)


def _entrypoint(text: str) -> list[str]:
    """JSON as it is; anything else is for a shell."""
    if text.startswith("["):
        parsed = json.loads(text)
        assert isinstance(parsed, list)
        return [str(one) for one in parsed]
    return ["/bin/sh", "-c", text]


def _port(text: str) -> str:
    return text if "/" in text else f"{text}/tcp"
