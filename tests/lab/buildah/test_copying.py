"""COPY's rules: where files go, what is hidden, and that nothing leaves its root."""

from pathlib import Path

import pytest

from lab.buildah.copying import Context, Order, Stage, copy
from lab.buildah.errors import BuildahError
from lab.buildah.tree import DIRECTORY, Tree, read_layers, write_layer


@pytest.fixture
def context(tmp_path: Path) -> Path:
    root = tmp_path / "context"
    (root / "sub" / "deep").mkdir(parents=True)
    for name in ("a.txt", "b.txt", "c.md", "sub/d.txt", "sub/deep/e.txt"):
        (root / name).write_text(name)
    (root / "sub" / "link").symlink_to("d.txt")
    return root


def copied(context: Path, sources: list[str], destination: str, below: Tree | None = None) -> list[str]:
    tree: Tree = {}
    copy(Order(sources, destination), Context(context), tree, below or {})
    return sorted(tree)


@pytest.mark.parametrize(
    ("sources", "destination", "paths"),
    [
        (["a.txt"], "/x", ["x"]),
        (["a.txt"], "/x/", ["x", "x/a.txt"]),
        (["a.txt"], "/", ["a.txt"]),
        (["*.txt"], "/t/", ["t", "t/a.txt", "t/b.txt"]),
        (["sub"], "/s", ["s", "s/d.txt", "s/deep", "s/deep/e.txt", "s/link"]),
        (["sub/"], "/", ["d.txt", "deep", "deep/e.txt", "link"]),
        (["a.txt", "sub"], "/m/", ["m", "m/a.txt", "m/d.txt", "m/deep", "m/deep/e.txt", "m/link"]),
        (["../../a.txt"], "/x", ["x"]),
        (["sub/link"], "/f", ["f"]),
    ],
)
def test_destinations(context: Path, sources: list[str], destination: str, paths: list[str]) -> None:
    assert copied(context, sources, destination) == paths


def test_a_directory_of_the_base_is_a_directory(context: Path) -> None:
    assert copied(context, ["a.txt"], "/etc", {"etc": DIRECTORY}) == ["etc/a.txt"]


@pytest.mark.parametrize(
    ("sources", "destination", "message"),
    [
        (["nothing"], "/", "no such file"),
        (["nothing*"], "/", "no such file"),
        (["a.txt", "b.txt"], "/x", "must end in /"),
        (["https://example.com/x"], "/x", "does not fetch"),
    ],
)
def test_refusals(context: Path, sources: list[str], destination: str, message: str) -> None:
    with pytest.raises(BuildahError, match=message):
        copied(context, sources, destination)


def test_a_link_out_of_the_context_is_refused(context: Path) -> None:
    (context / "out").symlink_to("/etc/passwd")

    with pytest.raises(BuildahError, match="leads out"):
        copied(context, ["out"], "/x")


@pytest.mark.parametrize(
    ("rules", "paths"),
    [
        ("sub", ["a.txt", "b.txt", "c.md"]),
        ("*.txt\n!b.txt", ["b.txt", "c.md", "sub", "sub/d.txt", "sub/deep", "sub/deep/e.txt", "sub/link"]),
        ("**/*.txt\n# note", ["c.md", "sub", "sub/deep", "sub/link"]),
    ],
)
def test_ignore_files(context: Path, rules: str, paths: list[str]) -> None:
    (context / ".dockerignore").write_text(rules + "\n.dockerignore\n")

    assert copied(context, ["."], "/") == paths


def test_layers_are_deterministic_and_read_back(context: Path, tmp_path: Path) -> None:
    tree: Tree = {}
    copy(Order(["."], "/", owner=(5, 6)), Context(context), tree, {})
    first = write_layer(tree, tmp_path / "one")
    (context / "a.txt").touch()
    second = write_layer(dict(reversed(tree.items())), tmp_path / "two")

    assert first == second
    read = read_layers([tmp_path / "one"])
    assert sorted(read) == sorted(tree)
    assert (read["a.txt"].uid, read["a.txt"].gid, read["sub/link"].link) == (5, 6, "d.txt")
    out: Tree = {}
    copy(Order(["sub/*.txt", "sub/link"], "/o/"), Stage(read), out, {})
    assert sorted(out) == ["o", "o/d.txt", "o/link"]
    assert write_layer(out, tmp_path / "three").size > 0


def test_whiteouts_hide_what_is_below(tmp_path: Path) -> None:
    lower: Tree = {"a": DIRECTORY, "a/b": DIRECTORY, "c": DIRECTORY, "d": DIRECTORY, "d/e": DIRECTORY}
    upper: Tree = {".wh.a": DIRECTORY, "d": DIRECTORY, "d/.wh..wh..opq": DIRECTORY, "d/f": DIRECTORY}
    for name, tree in (("lower", lower), ("upper", upper)):
        write_layer(tree, tmp_path / name)

    assert sorted(read_layers([tmp_path / "lower", tmp_path / "upper"])) == ["c", "d", "d/f"]
