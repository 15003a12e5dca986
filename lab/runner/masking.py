"""Keeps secrets out of the trace, also when one arrives in two pieces: what may be the beginning of a secret waits
for its end."""

from __future__ import annotations

import re
from collections.abc import Iterable

MASKED = b"[MASKED]"


class Masker:
    """Feed it output; it gives back what is safe to show."""

    def __init__(self, secrets: Iterable[str], token_prefixes: Iterable[str]) -> None:
        self._secrets = sorted({secret.encode() for secret in secrets if secret}, key=len, reverse=True)
        prefixes = [re.escape(prefix.encode()) for prefix in token_prefixes if prefix]
        self._prefixes = [prefix.encode() for prefix in token_prefixes if prefix]
        joined = b"|".join(prefixes)
        self._token = re.compile(b"(" + joined + rb")[A-Za-z0-9_.\-]+") if prefixes else None
        self._open_token = re.compile(b"(?:" + joined + rb")[A-Za-z0-9_.\-]*$") if prefixes else None
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What of all so far can be shown now."""
        text = self._mask_whole(self._held + data)
        keep = self._unsure(text)
        self._held = text[len(text) - keep :] if keep else b""
        return self._mask_tokens(text[: len(text) - keep])

    def flush(self) -> bytes:
        """The rest: no more will come."""
        text, self._held = self._mask_tokens(self._held), b""
        return text

    def _mask_whole(self, text: bytes) -> bytes:
        for secret in self._secrets:
            text = text.replace(secret, MASKED)
        return text

    def _mask_tokens(self, text: bytes) -> bytes:
        return self._token.sub(rb"\1" + MASKED, text) if self._token else text

    def _unsure(self, text: bytes) -> int:
        """How many bytes at the end may belong to a secret."""
        longest = max((_overlap(text, secret) for secret in (*self._secrets, *self._prefixes)), default=0)
        open_token = self._open_token.search(text) if self._open_token else None
        return max(longest, len(text) - open_token.start() if open_token else 0)


def _overlap(text: bytes, secret: bytes) -> int:
    """The length of the longest end of the text that begins the secret."""
    for size in range(min(len(text), len(secret) - 1), 0, -1):
        if text.endswith(secret[:size]):
            return size
    return 0
