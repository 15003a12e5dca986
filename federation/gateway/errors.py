"""How the gateway says no.

Refusal                    an answer other than the one asked for: HTTP status, Kubernetes reason, sentence
NoDelegate                 raised by a node's `find`: the pod has nothing running in the target (yet)
"""

from typing import Any


class NoDelegate(Exception):
    """The pod is unknown here, or has no delegate to talk to; the message says which."""


class Refusal(Exception):
    """The request ends with this answer. The message goes to the caller: never put a credential in it."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message

    def status(self) -> dict[str, Any]:
        """Return it as a Kubernetes Status."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
