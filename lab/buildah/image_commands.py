"""build, push, pull, images, tag, rmi and inspect, login and logout."""

import json
import os
import re
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

from lab.buildah import credentials, dockerfile, lists, transfer
from lab.buildah.build import Build
from lab.buildah.copying import Context
from lab.buildah.errors import BuildahError, Unauthorized
from lab.buildah.images import commit
from lab.buildah.references import Platform
from lab.buildah.session import Session, names, pairs
from lab.buildah.storage import Record


def login(session: Session) -> None:
    """Check user and password at the registry, then remember them."""
    options, host = session.options, session.options.registry.partition("/")[0]
    password = sys.stdin.read().strip() if options.password_stdin else options.password
    if not options.username or not password:
        raise BuildahError("give --username, and --password or --password-stdin: the stand-in does not ask")
    try:
        session.registry(host, login=(options.username, password)).check_login()
    except Unauthorized as error:
        raise Unauthorized(f'logging into "{host}": invalid username/password') from error
    credentials.store(host, options.username, password, options.authfile)
    session.say("Login Succeeded!")


def logout(session: Session) -> None:
    """Forget the credentials of a registry, or of all."""
    options = session.options
    if options.all:
        credentials.auth_file(options.authfile).unlink(missing_ok=True)
    elif not options.registry:
        raise BuildahError("give the registry to log out of, or --all")
    elif not credentials.forget(options.registry, options.authfile):
        raise BuildahError(f"not logged into {options.registry}")
    session.say(f"Removed login credentials for {options.registry or 'all registries'}")


def build(session: Session) -> None:
    """Build a Dockerfile for one or several platforms."""
    options = session.options
    context = Path(options.context or ".")
    if not context.is_dir():
        raise BuildahError(f"context {context}: want a directory (the stand-in fetches no URLs)")
    file = _dockerfile(context, options.file)
    instructions = dockerfile.parse(file.read_text(), str(options.file or file.name))
    platforms = session.platforms
    if len(platforms) > 1 and not options.manifest:
        raise BuildahError("several platforms make several images: give --manifest to collect them")
    for platform in platforms:
        record = _build_one(session, context, instructions, platform)
        if options.manifest:
            lists.create(session.storage, options.manifest, session.created, is_amending=True)
            lists.add(session.storage, options.manifest, record.identity, session.reach, platform, is_all=False)
        if options.iidfile:
            Path(options.iidfile).write_text(f"sha256:{record.identity}")
        session.say(record.identity)


def push(session: Session) -> None:
    """Send an image, or a whole manifest list."""
    options, storage = session.options, session.storage
    record = storage.find(options.image)
    target = transfer.parse_remote(options.destination or options.image)
    if record.is_list:
        digest = lists.push(storage, record, target, session.reach, options.format)
    else:
        session.note(f"Copying image to {target}")
        transfer.push_image(storage, session.reach(target), record.manifest, record.media_type, target)
        digest = record.manifest
    session.note("Writing manifest to image destination")
    if options.digestfile:
        Path(options.digestfile).write_text(digest)


def pull(session: Session) -> None:
    """Bring an image into local storage."""
    reference = transfer.parse_remote(session.options.image)
    record = transfer.pull(session.storage, session.reach(reference), reference, session.platform)
    session.say(record.identity)


def images(session: Session) -> None:
    """List local images and lists."""
    options = session.options
    records = [session.storage.find(options.image)] if options.image else session.storage.records()
    if options.json:
        session.say(json.dumps([_summary(one) for one in records], indent=4))
        return
    if options.quiet:
        for record in records:
            session.say(record.identity[:12])
        return
    rows = [] if options.noheading else [("REPOSITORY", "TAG", "IMAGE ID", "CREATED")]
    for record in records:
        for name in record.names or ["<none>:<none>"]:
            repository, _, tag = name.rpartition(":")
            rows.append((repository, tag, record.identity[:12], record.created))
    widths = [max(len(row[column]) for row in rows) for column in range(4)] if rows else []
    for row in rows:
        session.say("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def tag(session: Session) -> None:
    """Give an image more names."""
    record = session.storage.find(session.options.image)
    record.names = names(session.options.names)
    session.storage.add(record)


def rmi(session: Session) -> None:
    """Remove names, and images without any."""
    options = session.options
    wanted = [one.identity for one in session.storage.records()] if options.all else options.images
    if not wanted and not options.prune:
        raise BuildahError("image name or ID must be specified")
    removed = [session.storage.remove(text) for text in wanted]
    for text in removed:
        session.say(text)


def inspect(session: Session) -> None:
    """Print what is known of an image; `--format` takes one field such as {{.FromImageDigest}}."""
    record = session.storage.find(session.options.name)
    document = _inspected(session, record)
    if not session.options.format:
        session.say(json.dumps(document, indent=4))
        return
    value: Any = document
    for field in re.sub(r"[{}\s]", "", session.options.format).strip(".").split("."):
        if not isinstance(value, dict) or field not in value:
            raise BuildahError(f'--format "{session.options.format}": no field {field}')
        value = value[field]
    session.say(value if isinstance(value, str) else json.dumps(value))


def _build_one(
    session: Session, context: Path, instructions: list[dockerfile.Instruction], platform: Platform
) -> Record:
    options = session.options
    arguments = {
        name: value if "=" in text else os.environ.get(name, "")
        for text in options.build_arg
        for name, value in pairs([text]).items()
    }
    say = session.note if options.quiet else session.say
    work = Build(session.storage, Context(context), platform, arguments, session.base, say)
    draft = work.run(_until(instructions, options.target))
    for name, value in pairs(options.env).items():
        draft.set_environment(name, value)
    draft.config["Labels"] = {**(draft.config.get("Labels") or {}), **pairs(options.label)}
    if unused := set(arguments) - work.used:
        session.note(f"[Warning] one or more build args were not consumed: [{' '.join(sorted(unused))}]")
    tags = names(options.tag)
    say(f"COMMIT {' '.join(tags)}".rstrip())
    record = commit(session.storage, draft, tags, session.format, session.created)
    say(f"--> {record.identity[:11]}")
    for name in tags:
        say(f"Successfully tagged {name}")
    return record


def _dockerfile(context: Path, given: str | None) -> Path:
    """The file that -f names (here, or in the context), or else the context's Containerfile or Dockerfile."""
    names_ = [Path(given), context / given] if given else [context / "Containerfile", context / "Dockerfile"]
    for path in names_:
        if path.is_file():
            return path
    raise BuildahError(f"no such file: {' or '.join(map(str, names_))}")


def _until(instructions: list[dockerfile.Instruction], target: str) -> list[dockerfile.Instruction]:
    """The instructions up to the end of the stage --target names."""
    if not target:
        return instructions
    starts = [number for number, one in enumerate(instructions) if one.keyword == "FROM"] + [len(instructions)]
    for number, (start, end) in enumerate(pairwise(starts)):
        if target in (str(number), *instructions[start].text.lower().split()[2:]):
            return instructions[:end]
    raise BuildahError(f"--target {target}: no such stage")


def _summary(record: Record) -> dict[str, Any]:
    return {
        "id": record.identity[:12],
        "names": record.names,
        "digest": record.manifest,
        "createdatraw": record.created,
        "readonly": False,
    }


def _inspected(session: Session, record: Record) -> dict[str, Any]:
    if record.is_list:
        body, _ = lists.index(record)
        return dict(json.loads(body))
    manifest = session.storage.document(record.manifest)
    config = session.storage.document(manifest["config"]["digest"])
    return {
        "Type": "isthmus lab stand-in for buildah",
        "FromImage": record.names[0] if record.names else "",
        "FromImageID": record.identity,
        "FromImageDigest": record.manifest,
        "Config": json.dumps(config),
        "Manifest": json.dumps(manifest),
        "OCIv1": config,
    }
