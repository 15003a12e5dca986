"""Reads a container registry with the tokens of its GitLab: manifests, configurations, which blobs are there.

A digest is computed from the bytes that came, never believed from a header.
"""

import hashlib
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

Json = dict[str, Any]

_TIMEOUT = aiohttp.ClientTimeout(total=20)
INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_IMAGE_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


class RegistryFailed(Exception):
    """The registry, or who gives tokens for it, gave no useful answer."""


@dataclass(frozen=True, slots=True)
class Image:
    """What a reference stands for: an image with its configuration, or an index (which has no configuration)."""

    digest: str
    media_type: str
    manifest: Json
    config: Json | None = None
    missing: tuple[str, ...] = ()  # blobs that the manifest names and the registry does not have

    @property
    def is_index(self) -> bool:
        """Whether it is a list of images."""
        return self.media_type in INDEX_TYPES


class RegistryClient:
    """One registry, as a user of GitLab."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token_url: str, user: str, password: str) -> None:
        self._session, self._url = session, url
        self._token_url, self._login = token_url, aiohttp.BasicAuth(user, password)
        self._tokens: dict[str, str] = {}

    async def digest(self, repository: str, reference: str) -> str:
        """The digest of what a tag stands for, or nothing."""
        found = await self._manifest(repository, reference)
        return f"sha256:{hashlib.sha256(found[0]).hexdigest()}" if found else ""

    async def image(self, repository: str, reference: str) -> Image | None:
        """What a tag or a digest stands for, or None."""
        found = await self._manifest(repository, reference)
        if found is None:
            return None
        content, media_type = found
        manifest = json.loads(content)
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if media_type in INDEX_TYPES:
            return Image(digest, media_type, manifest)
        config = await self._blob(repository, manifest["config"]["digest"])
        blobs = [layer["digest"] for layer in manifest["layers"]]
        missing = [blob for blob in blobs if (await self._get(repository, f"blobs/{blob}", method="HEAD"))[0] != 200]
        if config is None:
            missing.append(manifest["config"]["digest"])
        return Image(digest, media_type, manifest, json.loads(config) if config else None, tuple(missing))

    async def _manifest(self, repository: str, reference: str) -> tuple[bytes, str] | None:
        accept = ", ".join((*INDEX_TYPES, *_IMAGE_TYPES))
        status, content, media_type = await self._get(repository, f"manifests/{reference}", accept=accept)
        if status == 404:
            return None
        if status != 200:
            raise RegistryFailed(f"registry: manifest {repository}:{reference}: status {status} {content[:200]!r}")
        return content, media_type

    async def _blob(self, repository: str, digest: str) -> bytes | None:
        status, content, _ = await self._get(repository, f"blobs/{digest}")
        return content if status == 200 and f"sha256:{hashlib.sha256(content).hexdigest()}" == digest else None

    async def _get(
        self, repository: str, path: str, *, method: str = "GET", accept: str = "*/*"
    ) -> tuple[int, bytes, str]:
        headers = {"Authorization": f"Bearer {await self._token(repository)}", "Accept": accept}
        try:
            async with self._session.request(method, f"{self._url}/v2/{repository}/{path}", headers=headers) as answer:
                return answer.status, await answer.read(), answer.content_type
        except (aiohttp.ClientError, TimeoutError) as error:
            raise RegistryFailed(f"registry: {path}: {error or type(error).__name__}") from error

    async def _token(self, repository: str) -> str:
        if repository not in self._tokens:
            query = {"service": "container_registry", "scope": f"repository:{repository}:pull"}
            try:
                async with self._session.get(self._token_url, params=query, auth=self._login) as answer:
                    self._tokens[repository] = (await answer.json())["token"]
            except (aiohttp.ClientError, TimeoutError, KeyError, ValueError) as error:
                raise RegistryFailed(f"GitLab gives no token for {repository}: {error}") from error
        return self._tokens[repository]


@asynccontextmanager
async def registry(url: str, ca_file: str, gitlab_url: str, password: str) -> AsyncIterator[RegistryClient]:
    """A client for the length of the block; `password` is a GitLab token of root's."""
    context = ssl.create_default_context(cafile=str(Path(ca_file)))
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT) as session:
        yield RegistryClient(session, url, f"{gitlab_url}/jwt/auth", "root", password)


def split(image: str) -> tuple[str, str]:
    """Repository and tag of `host/repository:tag`."""
    repository, _, tag = image.partition("/")[2].rpartition(":")
    return repository, tag
