"""A runner object at GitLab: what it shall be, and what we hold once it is registered."""

from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from bridge.names import token_fingerprint


@dataclass(frozen=True, slots=True)
class RunnerSpec:
    """What a runner shall be at GitLab."""

    description: str
    tags: tuple[str, ...]
    maximum_timeout_seconds: int
    note: str

    def body(self) -> dict[str, Any]:
        """Return it as GitLab's API writes it."""
        return {
            "description": self.description,
            "tag_list": list(self.tags),
            "run_untagged": False,
            "maximum_timeout": self.maximum_timeout_seconds,
            "maintenance_note": self.note,
        }


@dataclass(frozen=True, slots=True)
class Registered:
    """A runner and a token that was just given to it."""

    id: int
    token: SecretStr

    @property
    def fingerprint(self) -> str:
        """Which token it is, without telling it."""
        return token_fingerprint(self.token.get_secret_value())
