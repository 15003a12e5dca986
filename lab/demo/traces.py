"""What a job's log says: which runner ran it, and what it pushed. Pure.

The example's jobs end with a line `pushed <image>@<digest>`: the job's own word, to be compared with the registry.
"""

import re
from dataclasses import dataclass

# gitlab-runner puts time and stream before each line; colours and section marks are for GitLab's pages.
_PREFIX = re.compile(r"^\d{4}-\d\d-\d\dT[\d:.]+Z [0-9a-f]{2}[OE][ +]", re.MULTILINE)
_MARKS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|section_(?:start|end):\d+:\w+\r")
_SYSTEM_ID = re.compile(r"^  on .*, system ID: (\S+)$", re.MULTILINE)
_PUSHED = re.compile(r"^pushed (\S+)@(sha256:[0-9a-f]{64})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Pushed:
    """An image under a tag, and the digest that it was pushed as."""

    image: str
    digest: str


def plain(trace: str) -> str:
    """The log as a person reads it."""
    return _MARKS.sub("", _PREFIX.sub("", trace)).replace("\r", "")


def system_id(trace: str) -> str:
    """What the runner that ran the job calls itself, or nothing if it does not say."""
    found = _SYSTEM_ID.search(plain(trace))
    return found[1] if found else ""


def pushed(trace: str) -> list[Pushed]:
    """The images that the job says it has pushed."""
    return [Pushed(image, digest) for image, digest in _PUSHED.findall(plain(trace))]
