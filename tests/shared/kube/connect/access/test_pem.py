"""Bundles of certificates are read block by block, whatever is between the blocks."""

from __future__ import annotations

import ssl
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kube.connect.access import pem, tls
from tests.support.tls import Authority, KeyPair

COMMENTS = [
    "# Főtanúsítvány\n".encode(),
    "# F\u0151\n".encode("iso8859-2"),
    "# é\n".encode("latin-1"),
    b"# UTF-16: \xff\xfe\x00\n",
    b"subject=CN = x: y\r\n",
    b" \t\r\n",
    b"\x00\x01\x80\xff",
    b"-----BEGIN CERTIFICATE\n",
    b"-----BEGIN CERTIFICATE-----\nAAAA\n",
    b"-----END CERTIFICATE-----\n",
    b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
    b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n",
    b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n",
]
FALSE = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
JUNK = st.lists(st.sampled_from(COMMENTS) | st.binary(max_size=8), max_size=3).map(b"\n".join)
ENDS = st.sampled_from([b"\n", b"\r\n", b"  \n", b"\t\r\n", b" \t\n"])


@cache
def authorities() -> list[bytes]:
    return [Authority(f"authority {place}").certificate for place in range(3)]


@cache
def client() -> KeyPair:
    return Authority("clients").issue_client("alice")


def der(certificate: bytes) -> bytes:
    return ssl.PEM_cert_to_DER_cert(certificate.decode())


def bundle(draw: st.DrawFn, parts: list[bytes]) -> bytes:
    """The parts with junk around them, each with line ends of its own."""
    found = b""
    for part in parts:
        found += draw(JUNK) + b"\n" + part.replace(b"\n", draw(ENDS))
    return found + draw(JUNK)


@given(st.data())
def test_every_certificate_of_a_bundle_is_trusted_and_nothing_else(data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.sampled_from(authorities()), min_size=1, max_size=3, unique=True))
    content = st.composite(bundle)([*chosen, FALSE])
    trust = tls.private_trust(data.draw(content))
    assert sorted(trust.get_ca_certs(binary_form=True)) == sorted(der(one) for one in chosen)


@given(JUNK)
def test_a_bundle_without_a_certificate_is_refused(junk: bytes) -> None:
    for content in (junk, junk + b"\n" + FALSE):
        with pytest.raises(ValueError, match="holds no PEM certificate"):
            tls.private_trust(content)


@given(st.data())
def test_a_client_shows_its_certificate_whatever_its_files_hold_beside_it(data: st.DataObject) -> None:
    pair = client()
    made = st.composite(bundle)
    certificate = data.draw(made([pair.key, pair.certificate, authorities()[0], FALSE]))
    key = data.draw(made([pair.certificate, pair.key]))
    tls.load_client_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), certificate, key)


def test_blocks_of_other_kinds_and_those_with_headers_are_no_authorities() -> None:
    one = authorities()[0]
    for other in (
        one.replace(b"CERTIFICATE", b"TRUSTED CERTIFICATE"),
        one.replace(b"-----\n", b"-----\nProc-Type: 4,ENCRYPTED\n\n", 1),
        b" " + one,
        one.replace(b"-----END CERTIFICATE-----", b"-----END CERTIFICATE----- x"),
        one.replace(b"\n", b"\r"),
    ):
        assert list(pem.certificates(other)) == []
