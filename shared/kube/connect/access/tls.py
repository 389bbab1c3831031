"""TLS contexts from PEM in memory: which authorities to trust, and the client's certificate."""

from __future__ import annotations

import contextlib
import os
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path

from shared.kube.connect.access import pem


def public_trust() -> ssl.SSLContext:
    """Verifies against the system's authorities."""
    return ssl.create_default_context()


def private_trust(authorities: bytes) -> ssl.SSLContext:
    """Verifies against these authorities and no others.

    As in kubectl, an intermediate authority may be the anchor, and an authority may lack
    extensions that RFC 5280 demands, as cluster authorities do (by default Python 3.13
    refuses it, ``ssl.VERIFY_X509_STRICT``).

    Args:
        authorities: PEM with at least one certificate. Whatever else is in it is passed over, as are
            certificates that do not parse.

    Raises:
        ValueError: ``authorities`` holds no certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    for certificate in pem.certificates(authorities):
        _load(context, certificate)
    if not context.cert_store_stats()["x509"]:
        raise ValueError("holds no PEM certificate")
    return context


def _load(context: ssl.SSLContext, certificate: bytes) -> bool:
    """Trusts a certificate (DER), if it is one. Returns whether it is."""
    try:
        context.load_verify_locations(cadata=certificate)
    except (ssl.SSLError, ValueError):
        return False
    return True


def no_trust() -> ssl.SSLContext:
    """Verifies nothing. Only for ``insecure-skip-tls-verify: true`` in a kubeconfig."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def load_client_certificate(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Gives the context a client certificate; new connections show it.

    Args:
        context: Changed in place.
        certificate: The certificate, with intermediates if any, PEM.
        key: Its private key, PEM, not encrypted.

    Raises:
        ValueError: Certificate and key are not PEM or do not belong together, or the key is encrypted.
    """
    found = pem.chain(certificate)
    # Of what follows the client's own certificate, Go passes over what it cannot read, too.
    shown = found[:1] + [
        block for block in found[1:] if _load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), block.data)
    ]
    private = pem.private_key(key)
    text = b"".join(block.text for block in (*shown, private) if block is not None)
    try:
        with _as_file(text) as path:
            context.load_cert_chain(path, password=_no_password)
    except (ssl.SSLError, OSError) as error:
        raise ValueError("client certificate and key do not load or do not belong together") from error


def _no_password() -> str:
    # Without a callback OpenSSL would ask on the terminal.
    raise ValueError("the client key is encrypted; kubeconfigs hold plain keys")


@contextlib.contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """A path under which the content can be read for a moment: ``ssl`` takes keys from files only.

    On Linux it names memory (memfd_create(2)), elsewhere a file of mode 0600 that is removed afterwards.
    """
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("client-certificate", os.MFD_CLOEXEC)
        with open(descriptor, "wb", buffering=0) as memory:  # noqa: PTH123 - a descriptor has no Path
            memory.write(content)
            yield f"/proc/self/fd/{descriptor}"
        return
    descriptor, name = tempfile.mkstemp()
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123
            file.write(content)
        yield name
    finally:
        Path(name).unlink()
