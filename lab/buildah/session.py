"""What every command needs: the storage, registries with the right login, the time stamp, and where to speak.

Results go to stdout (a script may read them), progress to stderr, as buildah does.
"""

import argparse
import datetime
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from lab.buildah import credentials, references, transfer
from lab.buildah.errors import BuildahError, RegistryError
from lab.buildah.images import Draft, draft_of
from lab.buildah.references import Platform, Reference, host_architecture, parse_platform
from lab.buildah.registry import Access, Registry
from lab.buildah.storage import Record, Storage, default_root


@dataclass(frozen=True, slots=True)
class Session:
    """One run of the command."""

    options: argparse.Namespace
    storage: Storage

    def reach(self, reference: Reference) -> Registry:
        """The registry of a reference, with the login for its repository."""
        return self.registry(transfer.local_name(reference).host, reference.repository)

    def registry(self, host: str, repository: str = "", login: tuple[str, str] | None = None) -> Registry:
        """A registry with the given login, or the one at hand."""
        if login is None and (text := getattr(self.options, "creds", None)):
            user, _, password = text.partition(":")
            login = (user, password)
        authfile = getattr(self.options, "authfile", None)
        login = login or credentials.find(host, repository, authfile)
        verified = getattr(self.options, "tls_verify", "true").lower() not in ("false", "0")
        return Registry(host, Access(login, getattr(self.options, "cert_dir", None), verified))

    @property
    def platform(self) -> Platform:
        """The platform that --os, --arch, --variant and --os-version name; this machine's where they say nothing."""
        options = self.options
        return Platform(
            getattr(options, "os", "") or "linux",
            getattr(options, "arch", "") or host_architecture(),
            getattr(options, "variant", "") or "",
            getattr(options, "os_version", "") or "",
        )

    @property
    def platforms(self) -> list[Platform]:
        """Those of --platform (several, also by commas), else the one of the single flags."""
        texts = [one for text in getattr(self.options, "platform", []) for one in text.split(",")]
        version = getattr(self.options, "os_version", "") or ""
        parsed = [parse_platform(text) for text in texts]
        return [replace(one, os_version=version) for one in parsed] or [self.platform]

    @property
    def created(self) -> str:
        """The time that images carry: --timestamp, $SOURCE_DATE_EPOCH, or 1970; never the clock."""
        given = getattr(self.options, "timestamp", None)
        seconds = given if given is not None else int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    @property
    def format(self) -> str:
        """`oci` or `docker`: --format, $BUILDAH_FORMAT, or oci; raises BuildahError."""
        name = getattr(self.options, "format", None) or os.environ.get("BUILDAH_FORMAT") or "oci"
        names = {"oci": "oci", "docker": "docker", "v2s2": "docker"}
        if name not in names:
            raise BuildahError(f'--format "{name}": want oci or docker')
        return names[name]

    def pull(self, image: str, wanted: Platform) -> Record:
        """The image from local storage, or else from its registry; the platform must fit, as far as it is known."""
        record = self.storage.look_up(image)
        if record is not None and not record.is_list:
            return record
        reference = transfer.parse_remote(image)
        self.note(f"Trying to pull {reference}...")
        return transfer.pull(self.storage, self.reach(reference), reference, wanted)

    def base(self, image: str, wanted: Platform) -> Draft:
        """A draft that continues an image; what was asked for and the image does not say is taken as asked."""
        draft = draft_of(self.storage, self.pull(image, wanted))
        have = draft.platform
        if (have.os, have.architecture) != (wanted.os, wanted.architecture):
            raise RegistryError(f"{image} is for {have}, not for {wanted}")
        draft.platform = Platform(
            have.os, have.architecture, have.variant or wanted.variant, wanted.os_version or have.os_version
        )
        return draft

    def say(self, text: str) -> None:
        """A result, or a step of a build."""
        sys.stdout.write(text + "\n")

    def note(self, text: str) -> None:
        """Progress; nothing with --quiet."""
        if not getattr(self.options, "quiet", False):
            sys.stderr.write(text + "\n")


def open_session(options: argparse.Namespace) -> Session:
    """The session for parsed options."""
    return Session(options, Storage(Path(options.root) if options.root else default_root()))


def names(texts: list[str]) -> list[str]:
    """Full image names."""
    return [str(references.parse(text)) for text in texts]


def pairs(texts: list[str] | None) -> dict[str, str]:
    """`key=value` flags."""
    split = [text.partition("=") for text in texts or []]
    return {name: value for name, _, value in split}
