"""Logs and volumes on disk."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.kubelet import volume_files
from lab.kubelet.environment import expand
from lab.kubelet.log_lines import LINE_BYTES_MAX, Line, Query, read_line, select, stamp, write_line
from lab.kubelet.logs import Log
from lab.kubelet.volumes import File


def test_stamps_sort_as_text() -> None:
    assert stamp(1_795_000_000_000_000_001) == "2026-11-18T11:06:40.000000001Z"
    assert stamp(999_999_999) < stamp(1_000_000_000)


@given(st.binary(max_size=200).filter(lambda text: b"\n" not in text), st.booleans())
def test_lines_are_read_as_written(text: bytes, is_whole: bool) -> None:
    line = read_line(write_line(5, "stderr", text, is_whole=is_whole).removesuffix(b"\n"))
    assert line == Line(stamp(5), "stderr", is_whole, text)


def test_select() -> None:
    lines = [Line(f"t{number}", "stdout", True, b"%d" % number) for number in range(5)]
    assert b"".join(select(lines, Query(tail_lines=2))) == b"3\n4\n"
    assert b"".join(select(lines, Query(tail_lines=0))) == b""
    assert b"".join(select(lines, Query(since="t3", has_timestamps=True))) == b"t3 3\nt4 4\n"
    parts = [Line("t", "stdout", False, b"a"), Line("t", "stdout", True, b"b"), Line("t", "stdout", True, b"c")]
    assert b"".join(select(parts, Query(tail_lines=2))) == b"ab\nc\n"


async def whole(log: Log) -> bytes:
    """All that a log has."""
    return b"".join([piece async for piece in log.read(Query(), follow=True)])


async def test_a_log_gives_back_what_was_written(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    written = [b"one\ntw", b"o\n", b"x" * (LINE_BYTES_MAX + 10), b"\nno end"]
    for piece in written:
        log.write("stdout", piece)
    log.close()
    assert await whole(log) == b"".join(written)
    kept = Log.kept(tmp_path / "log")
    assert kept is not None
    assert await whole(kept) == b"".join(written)
    assert Log.kept(tmp_path / "none") is None


def test_a_volume_is_replaced_as_a_whole(tmp_path: Path) -> None:
    volume = tmp_path / "v"
    volume_files.write(volume, {"a": File(b"1"), "deep/b": File(b"2", 0o400)})
    assert (volume / "a").read_bytes() == b"1"
    assert (volume / "deep/b").stat().st_mode & 0o777 == 0o400
    first = (volume / "..data").readlink()
    volume_files.write(volume, {"a": File(b"1"), "deep/b": File(b"2", 0o400)})
    assert (volume / "..data").readlink() == first
    volume_files.write(volume, {"a": File(b"3")})
    assert sorted(path.name for path in volume.iterdir() if not path.name.startswith("..")) == ["a"]
    assert (volume / "a").read_bytes() == b"3"
    assert not (volume / first).exists()


def test_a_part_stays_within_its_volume(tmp_path: Path) -> None:
    volume = tmp_path / "v"
    volume.mkdir()
    assert volume_files.part(volume, "new/deep").is_dir()
    (volume / "out").symlink_to("/etc")
    with pytest.raises(ValueError, match="leads out"):
        volume_files.part(volume, "out/passwd")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("$(A)", "a"), ("$$(A)", "$(A)"), ("$(NONE)", "$(NONE)"), ("$A", "$A"), ("$", "$"), ("$$", "$"), ("$(A", "$(A")],
)
def test_expansion(text: str, expected: str) -> None:
    assert expand(text, {"A": "a"}) == expected
