"""Who may call the extender, and what it says to those who may not."""

import base64
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from pydantic import ValidationError

from federation.reservation.extender import BindRequest
from federation.reservation.server import USER, application, read_password
from federation.settings import ExtenderSettings

PASSWORD = "a-password-of-the-lab"  # of this test
ARGUMENTS = {"PodName": "p", "PodNamespace": "n", "PodUID": "u", "Node": "m"}


class Asked:
    """Binds everything, and remembers what."""

    def __init__(self) -> None:
        self.bound: list[BindRequest] = []
        self.holds: dict[str, Any] = {}
        self.strangers = self.repeats = 0

    async def bind(self, request: BindRequest) -> str:
        self.bound.append(request)
        return ""


def basic(user: str, password: str) -> dict[str, str]:
    """The headers of Basic credentials."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.parametrize(
    "headers", [{}, basic(USER, "wrong"), basic("root", PASSWORD), {"Authorization": "ü"}, {"Authorization": "Basic"}]
)
async def test_nobody_but_the_scheduler_binds(headers: dict[str, str]) -> None:
    asked = Asked()
    async with TestClient(TestServer(application(asked, PASSWORD))) as client:  # type: ignore[arg-type]
        answer = await client.post("/bind", json=ARGUMENTS, headers=headers)
        assert (answer.status, asked.bound) == (401, [])
        assert PASSWORD not in await answer.text()
        assert (await client.get("/healthz")).status == 200
        answer = await client.post("/bind", json=ARGUMENTS, headers=basic(USER, PASSWORD))
        assert (await answer.json(), asked.bound) == ({}, [BindRequest("p", "n", "u", "m")])


async def test_T9_what_the_scheduler_sent_wrong_is_answered_with_200() -> None:
    """Of any other answer kube-scheduler quotes the URL, password included, in the pod's condition."""
    async with TestClient(TestServer(application(Asked(), PASSWORD))) as client:  # type: ignore[arg-type]
        for body in (b"{", b"[]", b'{"PodName": 3}'):
            answer = await client.post("/bind", data=body, headers=basic(USER, PASSWORD))
            assert answer.status == 200
            assert "not an ExtenderBindingArgs" in (await answer.json())["Error"]


def test_the_extender_does_not_start_open_by_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="ISTHMUS_EXTENDER_SECRET_FILE must name"):
        ExtenderSettings()
    assert ExtenderSettings(allow_anybody=True).secret_file is None
    weak = tmp_path / "weak"
    weak.write_text("short\n")
    with pytest.raises(ValueError, match="one word of 16 to 128"):
        read_password(weak)
    weak.write_text(PASSWORD + "\n")
    assert read_password(weak) == PASSWORD
