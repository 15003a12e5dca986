"""Source and ClusterSource: in a target, who may come in; and what the agent has made for them."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from federation import names
from federation.model.pod_shapes import conditions
from federation.model.reading import METADATA, check, described, fitting, reads
from federation.model.shape import NAME_MAX, Fields, Name, Text, Words

Manifest = dict[str, Any]
Key = tuple[str, str]


_USER_MAX = 1024  # deploy/crds
_SPEC = Fields(
    {
        "userName": Text(_USER_MAX),
        "serviceAccountName": Name(),
        "serviceAccount": Fields({"namespace": Name(), "name": Name()}, ("namespace", "name")),
    }
)
_WORD = Text(1024)
_CREDENTIAL = Fields(dict.fromkeys(("secretNamespace", "secretName", "key", "issuedAt", "expiresAt"), _WORD))
_STATUS = Fields({"conditions": conditions(), "credential": _CREDENTIAL})
_MARKED = Fields(
    {"name": Text(NAME_MAX), "namespace": Name(), "uid": Text(), "labels": Words(), "annotations": Words()},
    ("name", "uid"),
)


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """One object of a kind that a Source becomes; `namespace` is empty for a cluster-scoped one."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Source:
    """A Source, or with an empty `namespace` a ClusterSource: a user, a service account, or both (empty: none)."""

    namespace: str
    name: str
    uid: str
    generation: int
    user_name: str
    account_namespace: str
    account_name: str
    is_terminating: bool = False
    status: Manifest = field(default_factory=dict, compare=False, repr=False)

    @property
    def key(self) -> Key:
        """(namespace, name)."""
        return self.namespace, self.name

    @property
    def kind(self) -> str:
        """Which of the two kinds it is."""
        return "Source" if self.namespace else "ClusterSource"

    @property
    def label(self) -> str:
        """What marks the objects made for it."""
        return names.source_label(self.namespace, self.name)

    @property
    def account(self) -> Reference | None:
        """Its service account, where it has one."""
        if not self.account_name:
            return None
        return Reference("ServiceAccount", self.account_namespace, self.account_name)

    @property
    def anchor(self) -> Reference:
        """The Secret that its tokens are bound to: beside the service account, as the API server asks, and empty."""
        return Reference("Secret", self.account_namespace, names.source_names(*self.key)[2])

    def credential(self, agent_namespace: str) -> Reference:
        """The Secret of its credential, where no pod of the source can mount it: in the agent's namespace."""
        return Reference("Secret", agent_namespace, names.source_credential_name(*self.key))


@reads("Source", Fields({"metadata": METADATA, "spec": _SPEC}, ("metadata",)))
def parse_source(manifest: Manifest) -> Source:
    """Return the Source or ClusterSource. Raises Unreadable: what cannot be read is given no right."""
    metadata, spec = manifest["metadata"], manifest.get("spec") or {}
    namespace = metadata.get("namespace") or ""
    account = spec.get("serviceAccount") or {}
    if namespace:
        account = {"namespace": namespace, "name": spec.get("serviceAccountName")}
    return Source(
        namespace=namespace,
        name=metadata["name"],
        uid=metadata["uid"],
        generation=metadata.get("generation") or 0,
        user_name=spec.get("userName") or "",
        account_namespace=account.get("namespace") or "",
        account_name=account.get("name") or "",
        is_terminating=bool(metadata.get("deletionTimestamp")),
        status=fitting(manifest.get("status") or {}, _STATUS) or {},
    )


@dataclass(frozen=True, slots=True)
class Mark:
    """An object in the cluster, and the Source that it says it was made for (None: for no Source).

    `content` is a digest of what matters in it: two objects of one name with the same are the same to us.
    """

    reference: Reference
    uid: str
    source: Key | None
    content: str = ""


def mark_of(manifest: Manifest, kind: str) -> Mark:
    """Return what an object says of itself; lists leave `kind` out. Raises Unreadable."""
    check(manifest.get("metadata") if isinstance(manifest, dict) else None, _MARKED, described(kind, manifest))
    metadata = manifest["metadata"]
    reference = Reference(kind, metadata.get("namespace") or "", metadata["name"])
    source: Key | None = None
    if names.SOURCE in (metadata.get("labels") or {}):
        namespace, slash, name = (metadata.get("annotations") or {}).get(names.SOURCE_OF, "").partition("/")
        source = (namespace, name) if slash else None
    return Mark(reference, metadata["uid"], source, content_of(manifest))


def content_of(manifest: Manifest) -> str:
    """Return a digest of what an object gives to whom, and of how it is marked."""
    metadata = manifest["metadata"]
    marks = [(metadata.get(field) or {}).get(key) for field, key in _MARKS]
    owners = [owner["uid"] for owner in metadata.get("ownerReferences") or []]
    parts = [marks, owners, *(manifest.get(field) for field in ("roleRef", "subjects", "rules"))]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


_MARKS = (("labels", names.SOURCE), ("annotations", names.SOURCE_OF))
