"""The grammar of the protocol: repository names, tags and digests, as the distribution specification writes them.

Every path on disk is made of strings that passed these, so `..`, a leading dot or underscore and absolute paths cannot
reach the store. Only sha256 is served: no client of ours uses another, and one algorithm lets uploads be hashed while
they arrive.
"""

import hashlib
import re
from dataclasses import dataclass

from lab.registry.errors import ProtocolError

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:([a-f0-9]{64})")
_REPOSITORY_LENGTH_MAX = 255


@dataclass(frozen=True, slots=True)
class Digest:
    """A sha256 digest; `str()` gives the form on the wire."""

    hexadecimal: str

    def __str__(self) -> str:
        return f"sha256:{self.hexadecimal}"


def repository(text: str) -> str:
    """The name itself if it is one; raises NAME_INVALID."""
    if len(text) > _REPOSITORY_LENGTH_MAX or not _REPOSITORY.fullmatch(text):
        raise ProtocolError("NAME_INVALID", f"repository {text!r}: lower-case letters, digits and . _ - / are allowed")
    return text


def digest(text: str) -> Digest:
    """Parse `sha256:<64 hex>`; raises DIGEST_INVALID."""
    found = _DIGEST.fullmatch(text)
    if not found:
        raise ProtocolError("DIGEST_INVALID", f"digest {text!r}: want sha256:<64 lower-case hexadecimal digits>")
    return Digest(found[1])


def reference(text: str) -> Digest | str:
    """What a manifest URL ends in: a digest, or else a tag; raises DIGEST_INVALID or TAG_INVALID."""
    if ":" in text:
        return digest(text)
    if not _TAG.fullmatch(text):
        raise ProtocolError("TAG_INVALID", f"tag {text!r}: up to 128 letters, digits and . _ - are allowed")
    return text


def digest_of(content: bytes) -> Digest:
    """The digest of content at hand."""
    return Digest(hashlib.sha256(content).hexdigest())
