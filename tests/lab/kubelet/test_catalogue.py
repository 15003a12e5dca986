"""Which image names the lab knows, and the commands they bring."""

import pytest

from lab.kubelet import commands
from lab.kubelet.catalogue import Image, InvalidImageName, absence, resolve
from lab.kubelet.quantities import whole


@pytest.mark.parametrize(
    ("reference", "pattern"),
    [
        ("busybox", "busybox*"),
        ("busybox:1.36", "busybox*"),
        ("docker.io/library/busybox@sha256:" + "a" * 64, "busybox*"),
        ("localhost:5000/mirror/debian:bookworm-slim", "debian"),
        ("registry.k8s.io/pause:3.10", "pause"),
        ("gitlab/gitlab-runner:alpine-v18.0.0", "gitlab-runner*"),
        ("registry.gitlab.com/gitlab-org/gitlab-runner:latest", "gitlab-runner*"),
        ("quay.io/buildah/stable:v1", "buildah/*"),
        ("python:3.13-slim", "python"),
        ("example.com/team/tool:1", None),
    ],
)
def test_resolve(reference: str, pattern: str | None) -> None:
    image = resolve(reference)
    assert (image.pattern if image else None) == pattern


def test_additions_come_first() -> None:
    image = resolve("example.com/team/debian", [Image("team/*", command=("make",))])
    assert image is not None
    assert image.command == ("make",)


@pytest.mark.parametrize("reference", ["", "UPPER/Case", "a b", "busybox:", "x@sha256:abc"])
def test_invalid_names(reference: str) -> None:
    with pytest.raises(InvalidImageName):
        resolve(reference)


def test_absence_says_what_there_is_and_how_to_add_more() -> None:
    message = absence("tool:1", [Image("team/*")])
    assert "busybox*" in message
    assert "team/*" in message
    assert "`images` of the kubelet's configuration" in message


def test_commands_are_ours_unless_a_program_is_named() -> None:
    ours = commands.scripts(["gitlab-runner"], commands.Settings({}))["gitlab-runner"]
    assert "'lab.runner'" in ours.text
    theirs = commands.scripts(["gitlab-runner"], commands.Settings({"gitlab-runner": "/opt/a b/runner"}))
    assert theirs["gitlab-runner"].text == "#!/bin/sh\nexec '/opt/a b/runner' \"$@\"\n"


def test_the_buildah_stand_in_can_be_asked_for_and_refused() -> None:
    assert "'lab.buildah'" in commands.scripts(["buildah"], commands.Settings({}, "stand-in"))["buildah"].text
    assert commands.scripts(["buildah"], commands.Settings({}, "real")) == {}


@pytest.mark.parametrize(
    ("quantity", "divisor", "expected"),
    [("500m", "1m", 500), ("1.5", "1", 2), ("2Gi", "1Mi", 2048), ("1e3", "1", 1000), ("1E", "1P", 1000), (3, 1, 3)],
)
def test_quantities(quantity: str, divisor: str, expected: int) -> None:
    assert whole(quantity, divisor) == expected


@pytest.mark.parametrize("quantity", ["", "ten", "1 Gi", "1gi"])
def test_what_is_no_quantity(quantity: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity"):
        whole(quantity)
