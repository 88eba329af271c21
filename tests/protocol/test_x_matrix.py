"""The header with which servers sign their requests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeserver.protocol.errors import InvalidParam, Unauthorized
from homeserver.protocol.hashing import encode_base64
from homeserver.protocol.signing import SigningKey, verify_bytes
from homeserver.protocol.x_matrix import XMatrix, format_x_matrix, parse_x_matrix, sign_request, signed_bytes

SIGNATURE = bytes(range(64))
SIG = encode_base64(SIGNATURE)
EXPECTED = XMatrix("alpha.example:8448", "beta.example", "ed25519:a_1", SIGNATURE)


@pytest.mark.parametrize(
    "header",
    [
        f'X-Matrix origin="alpha.example:8448",destination="beta.example",key="ed25519:a_1",sig="{SIG}"',
        # "one or more spaces"; "The names are case insensitive and order does not matter"; "Zero or more spaces and tabs"
        f'x-matrix   SIG="{SIG}" ,\t Key="ed25519:a_1",  Destination="beta.example" , ORIGIN="alpha.example:8448"',
        # "the recipient should allow colons to be included in values without requiring the value to be enclosed in quotes"
        f'X-Matrix origin=alpha.example:8448,destination=beta.example,key=ed25519:a_1,sig="{SIG}"',
        # what servers of old send
        f"X-Matrix origin=alpha.example:8448,destination=beta.example,key=ed25519:a_1,sig={SIG}",
        # "a backslash-character pair is replaced by the character that follows the backslash"
        f'X-Matrix origin="alpha.e\\xample:8448",destination="beta\\.example",key="ed25519:a_1",sig="{SIG}"',
        # "Unknown parameters are ignored"
        f'X-Matrix new="a,b=\\"c",origin="alpha.example:8448",destination="beta.example",key="ed25519:a_1",sig="{SIG}",,',
    ],
)
def test_the_same_header_in_many_forms(header: str) -> None:
    assert parse_x_matrix(header) == EXPECTED


def test_servers_from_before_v1_3_name_no_destination() -> None:
    assert parse_x_matrix(f'X-Matrix origin="a",key="ed25519:1",sig="{SIG}"').destination is None


@pytest.mark.parametrize(
    "header",
    [
        "Bearer abc",
        "X-Matrix",
        "X-Matrixorigin=a",
        "X-Matrix nothing",
        f'X-Matrix origin="a",sig="{SIG}"',
        f'X-Matrix origin="a",key="ed25519:1",sig="{SIG}',
        'X-Matrix origin="a",key="ed25519:1",sig="%%"',
        'X-Matrix origin="a",key="ed25519:1",sig="AAAA"',
        f'X-Matrix origin="a",key="rsa:1",sig="{SIG}"',
        f'X-Matrix origin="a",origin="b",key="ed25519:1",sig="{SIG}"',
        f'X-Matrix origin="a",key="ed25519:1",sig="{SIG}",{"x" * 3000}=1',
    ],
)
def test_what_is_not_such_a_header_is_refused(header: str) -> None:
    with pytest.raises(Unauthorized):
        parse_x_matrix(header)


def test_an_origin_that_cannot_be_is_a_mistake() -> None:
    for origin in ("not a name", "localhost:http"):
        with pytest.raises(InvalidParam):
            parse_x_matrix(f'X-Matrix origin="{origin}",key="ed25519:1",sig="{SIG}"')


@given(
    st.from_regex(r"[a-z0-9.-]{1,60}(:[0-9]{1,4})?", fullmatch=True),
    st.from_regex(r"[a-z0-9.-]{1,60}(:[0-9]{1,4})?", fullmatch=True),
    st.from_regex(r"ed25519:[A-Za-z0-9_]{1,40}", fullmatch=True),
    st.binary(min_size=64, max_size=64),
)
def test_what_we_write_is_read_the_same(origin: str, destination: str, key_id: str, signature: bytes) -> None:
    claims = XMatrix(origin, destination, key_id, signature)
    try:
        assert parse_x_matrix(format_x_matrix(claims)) == claims
    except (Unauthorized, InvalidParam):
        assert origin.replace(".", "").replace(":", "").isdigit()  # an IP address with numbers above 255


@given(st.text(max_size=200))
def test_no_text_is_more_than_refused(text: str) -> None:
    try:
        parse_x_matrix("X-Matrix " + text)
    except (Unauthorized, InvalidParam):
        return
    assert "origin" in text.lower()


@given(st.lists(st.sampled_from(["origin", "key", "sig", "=", '"', "\\", ",", " ", "\t", "a", "é", SIG]), max_size=40))
def test_no_heap_of_its_parts_is_more_than_refused(parts: list[str]) -> None:
    try:
        parse_x_matrix("X-Matrix " + "".join(parts))
    except (Unauthorized, InvalidParam):
        return


def test_the_signature_is_over_everything() -> None:
    key = SigningKey.from_seed("k", bytes(32))
    uri = "/_matrix/federation/v1/send/1?a=b"
    header = sign_request(key, "PUT", uri, "alpha.example", "beta.example", {"b": 1, "a": "é"})
    claims = parse_x_matrix(header)
    expected = (
        '{"content":{"a":"é","b":1},"destination":"beta.example","method":"PUT","origin":"alpha.example",'
        f'"uri":"{uri}"}}'
    ).encode()
    assert signed_bytes("PUT", uri, "alpha.example", "beta.example", {"b": 1, "a": "é"}) == expected
    verify_bytes(expected, claims.signature, key.verify_key)
    assert b"content" not in signed_bytes("GET", uri, "a", "b", None)
