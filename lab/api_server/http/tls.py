"""TLS of both sides: serving with optional client certificates, and dialling kubelets."""

import ssl

from lab.api_server.flags import Flags


def serving_context(flags: Flags) -> ssl.SSLContext | None:
    """Return the context to serve with; None (plain HTTP) without a certificate, for experiments only."""
    if flags.tls_cert_file is None or flags.tls_private_key_file is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(flags.tls_cert_file, flags.tls_private_key_file)
    context.set_alpn_protocols(["http/1.1"])
    if flags.client_ca_file is not None:
        context.load_verify_locations(flags.client_ca_file)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def kubelet_context(flags: Flags) -> ssl.SSLContext:
    """Return the context to dial kubelets with."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=flags.kubelet_certificate_authority)
    if flags.kubelet_certificate_authority is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if flags.kubelet_client_certificate is not None:
        context.load_cert_chain(flags.kubelet_client_certificate, flags.kubelet_client_key)
    return context
