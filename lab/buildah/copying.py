"""COPY and ADD: from a context or a stage into a tree, by Docker's rules for sources and destinations.

Sources never leave their root: `..` stops at it, and a link that leads out of the context is refused. Wildcards are the
shell's without `**`. Ignore files (.containerignore, else .dockerignore) hide what they name.
"""

import posixpath
import re
import tarfile
from dataclasses import dataclass
from fnmatch import translate
from pathlib import Path
from typing import Protocol

from lab.buildah.errors import BuildahError
from lab.buildah.tree import DIRECTORY, Entry, Tree, entry_of, read_archive, with_parents


class Source(Protocol):
    """Where files come from: a directory on disk, or the tree of a stage."""

    def match(self, pattern: str) -> list[str]:
        """Paths that a source argument means, in order; `""` is the root."""
        ...

    def look(self, path: str) -> Entry:
        """The entry itself, links followed."""
        ...

    def below(self, path: str) -> Tree:
        """Everything in a directory, relative to it."""
        ...


@dataclass(frozen=True, slots=True)
class Order:
    """One COPY or ADD, its arguments resolved. `owner` is (uid, gid), `mode` from --chmod."""

    sources: list[str]
    destination: str
    owner: tuple[int, int] = (0, 0)
    mode: int | None = None
    is_unpacking: bool = False


class Context:
    """A build context on disk."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._ignored = _ignore_rules(self._root)

    def match(self, pattern: str) -> list[str]:
        path = _inside(pattern)
        if not re.search(r"[*?\[]", path):
            return [path] if not self._is_ignored(path) and (self._root / path).exists() else []
        found = (one.relative_to(self._root).as_posix() for one in self._root.glob(path))
        return sorted(one for one in found if not self._is_ignored(one))

    def look(self, path: str) -> Entry:
        real = (self._root / path).resolve()
        if not real.is_relative_to(self._root):
            raise BuildahError(f"{path} leads out of the build context")
        return _described(real)

    def below(self, path: str) -> Tree:
        top = (self._root / path).resolve()
        everything = ((one, one.relative_to(top).as_posix()) for one in sorted(top.rglob("*")))
        return {
            relative: _described(one)
            for one, relative in everything
            if not self._is_ignored(one.relative_to(self._root).as_posix())
        }

    def _is_ignored(self, path: str) -> bool:
        ignored = False
        for rule, is_exception in self._ignored:
            if rule.match(path):
                ignored = not is_exception
        return ignored


class Stage:
    """The files of an earlier stage or of another image."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def match(self, pattern: str) -> list[str]:
        path = _inside(pattern)
        if not re.search(r"[*?\[]", path):
            return [path] if not path or path in self._tree else []
        rule, depth = re.compile(translate(path)), path.count("/")
        return sorted(one for one in self._tree if one.count("/") == depth and rule.match(one))

    def look(self, path: str) -> Entry:
        entry = self._tree[path] if path else DIRECTORY
        for _ in range(40):  # Linux gives up after as many links
            if entry.kind != tarfile.SYMTYPE:
                return entry
            path = _inside(posixpath.join("/", posixpath.dirname(path), entry.link))
            if path not in self._tree:
                raise BuildahError(f"link to /{path} leads nowhere")
            entry = self._tree[path]
        raise BuildahError(f"/{path}: too many links")

    def below(self, path: str) -> Tree:
        prefix = f"{path}/" if path else ""
        return {name.removeprefix(prefix): entry for name, entry in self._tree.items() if name.startswith(prefix)}


def copy(order: Order, source: Source, tree: Tree, below: Tree) -> None:
    """Carry out one COPY or ADD on `tree`; `below` is what the base already has. Raises BuildahError."""
    paths = []
    for pattern in order.sources:
        if re.match(r"(https?|git|ssh)://|git@", pattern):
            raise BuildahError(f"{pattern}: the lab's stand-in for buildah does not fetch URLs")
        matched = source.match(pattern)
        if not matched:
            raise BuildahError(f'"{pattern}": no such file in what is copied from')
        paths += matched
    target = _inside(order.destination)
    existing = (tree | below).get(target) if target else DIRECTORY
    is_into = order.destination.endswith(("/", "/.")) or (existing is not None and existing.is_directory)
    if len(paths) > 1 and not is_into:
        raise BuildahError(f"several sources, so the destination {order.destination} must end in /")
    for path in paths:
        for name, entry in _copied(order, source, path, target, is_into).items():
            with_parents(tree, name, below, DIRECTORY.owned(*order.owner))
            tree[name] = _changed(entry, order)


def _copied(order: Order, source: Source, path: str, target: str, is_into: bool) -> Tree:
    """The entries that one source becomes, by their paths in the image."""
    entry = source.look(path)
    prefix = f"{target}/" if target else ""
    if entry.is_directory:
        top = {target: entry} if target else {}
        return top | {prefix + name: one for name, one in source.below(path).items()}
    if order.is_unpacking and entry.source is not None and tarfile.is_tarfile(entry.source):
        return {prefix + name: one for name, one in read_archive(entry.source).items()}
    return {prefix + posixpath.basename(path) if is_into else target: entry}


def _changed(entry: Entry, order: Order) -> Entry:
    mode = entry.mode if order.mode is None or entry.kind == tarfile.SYMTYPE else order.mode
    return Entry(entry.kind, mode, *order.owner, entry.size, entry.link, entry.source, entry.member)


def _inside(path: str) -> str:
    """A path relative to its root, `..` stopped there."""
    return posixpath.normpath("/" + path).strip("/")


def _described(path: Path) -> Entry:
    try:
        return entry_of(path)
    except (ValueError, OSError) as error:
        raise BuildahError(str(error)) from error


def _ignore_rules(root: Path) -> list[tuple[re.Pattern[str], bool]]:
    """Patterns of the ignore file, last match wins; True where a line starts with `!`."""
    for name in (".containerignore", ".dockerignore"):
        if (root / name).is_file():
            lines = (line.strip() for line in (root / name).read_text().splitlines())
            return [
                (_ignore_rule(line.removeprefix("!")), line.startswith("!"))
                for line in lines
                if line and not line.startswith("#")
            ]
    return []


def _ignore_rule(pattern: str) -> re.Pattern[str]:
    """A pattern of an ignore file: `*` within one component, `**` across; what it names hides what is below."""
    pieces = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    tokens = re.findall(r"\*\*/|\*\*|\*|\?|[^*?]+", _inside(pattern))
    return re.compile("".join(pieces.get(token, re.escape(token)) for token in tokens) + "(?:/.*)?$")
