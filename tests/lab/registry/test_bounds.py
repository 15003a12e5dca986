"""Limits: what is too large, too many or too old is refused, and leaves nothing behind."""

import http.client
import json
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.registry.running import ROOT, RunningRegistry, running_registry

UPLOADS = "/v2/group/app/blobs/uploads/"
NOTHING = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    limits = {"blob_bytes_max": 1000, "manifest_bytes_max": 1024, "uploads_max": 1, "upload_idle_seconds": 0.3}
    with running_registry(tmp_path_factory.mktemp("small"), limits) as running:
        yield running


@pytest.fixture(scope="module")
def token(small: RunningRegistry) -> str:
    return small.token(("group/app", "pull,push"))


def test_a_blob_too_large_is_refused_announced_or_not(small: RunningRegistry, token: str) -> None:
    for body in (b"x" * 1001, iter([b"x" * 600, b"x" * 401])):
        answer = small.request("POST", f"{UPLOADS}?digest={NOTHING}", token, body)
        assert (answer.status, answer.code) == (413, "SIZE_INVALID")
    assert not list((small.folder / "data" / "incoming").iterdir())


def test_a_manifest_too_large_is_refused(small: RunningRegistry, token: str) -> None:
    body = b"{" + b" " * 1024 + b"}"

    assert small.request("PUT", "/v2/group/app/manifests/t", token, body).status == 413


def test_uploads_are_few_and_idle_ones_make_room(small: RunningRegistry, token: str) -> None:
    assert [small.request("POST", UPLOADS, token).status for _ in range(2)] == [202, 429]

    deadline = time.monotonic() + 10
    while small.request("POST", UPLOADS, token).status != 202:
        assert time.monotonic() < deadline, "the idle upload never expired"
        time.sleep(0.05)


def test_a_signal_ends_it_at_once_in_the_middle_of_an_upload(tmp_path: Path) -> None:
    with running_registry(tmp_path) as running:
        token = running.token(("group/app", "pull,push"))
        location = running.request("POST", UPLOADS, token).headers["Location"]
        context = ssl.create_default_context(cafile=str(running.ca))
        connection = http.client.HTTPSConnection(running.host, context=context)
        connection.putrequest("PATCH", location)
        connection.putheader("Authorization", f"Bearer {token}")
        connection.putheader("Content-Length", "1000000")
        connection.endheaders(b"the beginning")
        started = time.monotonic()
    assert time.monotonic() - started < 10
    connection.close()


def test_content_outlives_the_process(tmp_path: Path) -> None:
    with running_registry(tmp_path) as first:
        token = first.token(("group/app", "pull,push"))
        assert first.request("POST", f"{UPLOADS}?digest={NOTHING}", token, b"").status == 201
    with running_registry(tmp_path) as second:
        token = second.token(("group/app", "pull"))
        assert second.request("GET", f"/v2/group/app/blobs/{NOTHING}", token).status == 200


def test_a_configuration_that_lets_nobody_in_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"tls": {"certificate": "c", "key": "k"}, "data_dir": "d"}))

    done = subprocess.run(
        [sys.executable, "-m", "lab.registry", "--config", str(config)], cwd=ROOT, capture_output=True, check=False
    )

    assert done.returncode != 0
    assert b"nobody could log in" in done.stderr
