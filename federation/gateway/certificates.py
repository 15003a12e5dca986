"""The serving certificate of one virtual node: signed by its cluster where that signs kubelets', else by itself.

An API server with `--kubelet-certificate-authority` verifies kubelets, and us. The cluster's own way to such a
certificate is a CertificateSigningRequest for the signer `kubernetes.io/kubelet-serving`, whose subject is a kubelet's:
CN `system:node:<node>`, O `system:nodes`. Nobody approves those by default, so we do, with the right to.
"""

import asyncio
import base64
import ipaddress
import ssl
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from loguru import logger

from federation.certificates import KeyPair
from federation.kube.api import Api, Manifest
from federation.kube.errors import ApiError
from federation.kube.resources import Resource
from federation.kube.store import Store
from federation.kube.watch import follow

REQUESTS = Resource(
    "certificates.k8s.io", "v1", "certificatesigningrequests", "CertificateSigningRequest", is_namespaced=False
)
SIGNER = "kubernetes.io/kubelet-serving"

_LIFETIME = timedelta(days=365)  # of one signed by itself: nobody verifies it; renewed at every start of the agent
_BACKDATE = timedelta(minutes=5)  # clocks of two machines differ
_SIGNED_SECONDS_MAX = 60.0  # the controller manager takes less than one; an approver by hand is not waited for


async def load_signed(context: ssl.SSLContext, api: Api, node: str, address: str) -> None:
    """Use a certificate that the cluster signed for new connections of `context`; where it signs none, say so."""
    try:
        async with asyncio.timeout(_SIGNED_SECONDS_MAX):
            certificate = await signed_by_cluster(api, node, address)
    except (ApiError, TimeoutError) as error:
        logger.warning(
            "the cluster signs no serving certificate: logs and exec need an API server that does not ask for one",
            node=node,
            error=repr(error)[:300],
        )
    else:
        certificate.load_into(context)


async def signed_by_cluster(api: Api, node: str, address: str) -> KeyPair:
    """Request, approve and await a certificate; waits for ever where nobody signs. Raises ApiError."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(_subject(node))
    request = request.add_extension(_alternative(address), critical=False)
    spec = {
        "request": base64.b64encode(request.sign(key, hashes.SHA256()).public_bytes(_PEM)).decode(),
        "signerName": SIGNER,
        "usages": ["digital signature", "server auth"],
    }
    metadata = {"generateName": "isthmus-gateway-"}
    made = await api.create(
        REQUESTS, {"apiVersion": REQUESTS.api_version, "kind": REQUESTS.kind, "metadata": metadata, "spec": spec}
    )
    made["status"] = {"conditions": [_APPROVED]}
    name = made["metadata"]["name"]
    await api.replace(REQUESTS, made, subresource="approval")
    return KeyPair(await _signed(api, name), _private_pem(key))


async def _signed(api: Api, name: str) -> bytes:
    found: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def look(request: Manifest) -> None:
        if (text := (request.get("status") or {}).get("certificate")) and not found.done():
            found.set_result(base64.b64decode(text))

    following = asyncio.create_task(follow(api, REQUESTS, Store(look), field_selector=f"metadata.name={name}"))
    try:
        return await found
    finally:
        following.cancel()
        await asyncio.wait([following])


def self_signed(node: str, address: str, now: datetime) -> KeyPair:
    """Return a certificate for `node` at the IP `address`, valid for a year from `now` (aware)."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_subject(node))
        .issuer_name(_subject(node))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + _LIFETIME)
        .add_extension(_alternative(address), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return KeyPair(certificate.public_bytes(_PEM), _private_pem(key))


_PEM = serialization.Encoding.PEM
_APPROVED = {
    "type": "Approved",
    "status": "True",
    "reason": "IsthmusVirtualNode",
    "message": "requested and approved by the agent that serves this virtual node",
}


def _subject(node: str) -> x509.Name:
    common_name = f"system:node:{node}"[:64]  # X.509's limit; a longer node name cannot be checked by CN anyway
    organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes")
    return x509.Name([organisation, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _alternative(address: str) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
