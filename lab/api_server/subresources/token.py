"""serviceaccounts/token: a signed token for an account, bound to a pod or a secret where the request says so."""

from lab.api_server.auth.tokens import Tokens
from lab.api_server.core.decoding import read_manifest
from lab.api_server.core.manifest import Manifest, parse_timestamp, timestamp
from lab.api_server.core.names import uid
from lab.api_server.core.reading import Reader
from lab.api_server.core.request import Response, answer
from lab.api_server.core.routes import Call
from lab.api_server.core.status import bad_request, conflict, invalid, not_found, wrong

API_VERSION = "authentication.k8s.io/v1"
SECONDS, SECONDS_MIN = 3600, 600
BOUND = {"Pod": "pods", "Secret": "secrets", "Node": "nodes"}


class TokenRequests:
    """Issues tokens."""

    def __init__(self, reader: Reader, tokens: Tokens) -> None:
        self._reader, self._tokens = reader, tokens

    def create(self, call: Call) -> Response:
        """Answer one TokenRequest."""
        request = read_manifest(call.request, "TokenRequest", API_VERSION)
        spec = request.get("spec") or {}
        account = self._reader.require(call.kind, call.namespace, call.name).manifest
        seconds = int(spec.get("expirationSeconds") or SECONDS)
        if seconds < SECONDS_MIN:
            error = wrong("spec.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
            raise invalid("authentication.k8s.io", "TokenRequest", "", [error])
        audiences = list(spec.get("audiences") or [self._tokens.issuer])
        token, expires = self._tokens.issue(
            self._claims(call, account, spec), audiences, seconds, uid(self._reader.random)
        )
        expiry = timestamp(parse_timestamp("1970-01-01T00:00:00Z").fromtimestamp(expires, self._reader.now().tzinfo))
        return answer(
            {
                "kind": "TokenRequest",
                "apiVersion": API_VERSION,
                "metadata": {
                    "name": call.name,
                    "namespace": call.namespace,
                    "creationTimestamp": timestamp(self._reader.now()),
                },
                "spec": {
                    "audiences": audiences,
                    "expirationSeconds": seconds,
                    "boundObjectRef": spec.get("boundObjectRef"),
                },
                "status": {"token": token, "expirationTimestamp": expiry},
            },
            201,
        )

    def _claims(self, call: Call, account: Manifest, spec: Manifest) -> Manifest:
        ours: Manifest = {
            "namespace": call.namespace,
            "serviceaccount": {"name": call.name, "uid": account["metadata"]["uid"]},
        }
        reference = spec.get("boundObjectRef")
        if reference:
            ours |= self._bound(call, reference)
        return {"kubernetes.io": ours, "sub": f"system:serviceaccount:{call.namespace}:{call.name}"}

    def _bound(self, call: Call, reference: Manifest) -> Manifest:
        kind, name = reference.get("kind", ""), reference.get("name", "")
        if kind not in BOUND:
            raise bad_request(f'cannot bind token for serviceaccount "{call.name}" to object kind {kind}')
        plural = BOUND[kind]
        found = self._reader.find(plural, "" if kind == "Node" else call.namespace, name)
        if found is None:
            raise not_found("", plural, name)
        uid_now, wanted = found["metadata"]["uid"], reference.get("uid")
        if wanted and wanted != uid_now:
            why = (
                f"the UID in the bound object reference ({wanted}) does not match the UID in record. "
                "The object might have been deleted and then recreated"
            )
            raise conflict("", plural, name, why)
        if kind == "Pod" and found["spec"].get("serviceAccountName") != call.name:
            raise bad_request(
                f'cannot bind token for serviceaccount "{call.name}" to pod running with different serviceaccount name.'
            )
        bound: Manifest = {kind.lower(): {"name": name, "uid": uid_now}}
        node_name = (found.get("spec") or {}).get("nodeName") if kind == "Pod" else None
        node = self._reader.find("nodes", "", node_name) if node_name else None
        if node is not None:
            bound["node"] = {"name": node_name, "uid": node["metadata"]["uid"]}
        return bound
