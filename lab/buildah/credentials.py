"""Login credentials in the file that buildah, skopeo and podman share: `{"auths": {"host": {"auth": base64}}}`.

Which file: --authfile, $REGISTRY_AUTH_FILE, $XDG_RUNTIME_DIR/containers/auth.json, ~/.config/containers/auth.json; for
reading also ~/.docker/config.json. An entry may be for a host or for a path below it; the longest one that fits wins.
"""

import base64
import binascii
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from lab.buildah.errors import BuildahError


def auth_file(given: str | None) -> Path:
    """The file that login writes to."""
    if path := given or os.environ.get("REGISTRY_AUTH_FILE"):
        return Path(path)
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(runtime) / "containers" / "auth.json"
    return Path.home() / ".config" / "containers" / "auth.json"


def find(host: str, repository: str, given: str | None) -> tuple[str, str] | None:
    """User and password for a repository, or None; raises BuildahError for an unreadable file."""
    for path in (auth_file(given), Path.home() / ".docker" / "config.json"):
        entries = _read(path).get("auths") or {}
        name = f"{host}/{repository}".rstrip("/")
        while name:
            if encoded := (entries.get(name) or {}).get("auth"):
                return _decoded(encoded, path)
            name = name.rpartition("/")[0]
    return None


def store(host: str, user: str, password: str, given: str | None) -> None:
    """Remember a login; the file is readable by its owner only."""
    path = auth_file(given)
    content = _read(path)
    encoded = base64.b64encode(f"{user}:{password}".encode()).decode()
    content.setdefault("auths", {})[host] = {"auth": encoded}
    _write(path, content)


def forget(host: str, given: str | None) -> bool:
    """Remove a login; False where there was none."""
    path = auth_file(given)
    content = _read(path)
    if (content.get("auths") or {}).pop(host, None) is None:
        return False
    _write(path, content)
    return True


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes() or b"{}")
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise BuildahError(f"{path}: not JSON: {error}") from error
    if not isinstance(content, dict):
        raise BuildahError(f"{path}: want a JSON object")
    return content


def _write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent)  # mkstemp's mode is 0600
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file, indent=8)
    Path(name).replace(path)


def _decoded(encoded: str, path: Path) -> tuple[str, str]:
    try:
        user, _, password = base64.b64decode(encoded).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise BuildahError(f"{path}: an `auth` entry is not base64 of user:password") from error
    return user, password
