"""What is read off entries of a directory, and how filters are written."""

from __future__ import annotations

import pytest

from homeserver.services.ldap.directory import (
    Directory,
    Transport,
    claims_of,
    first_name,
    group_search,
    id_of,
    id_search,
    is_name,
    user_search,
)

PEOPLE = Directory(Transport("ldaps://dc.example.org"), "dc=example,dc=org", attributes=("uid", "mail"))
ACTIVE = Directory(
    Transport("ldaps://dc.example.org"),
    "dc=example,dc=org",
    user_filter="(&(objectClass=user)(|(sAMAccountName={user})(userPrincipalName={user})))",
    id_attribute="objectGUID",
)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("alice", "(uid=alice)"),
        ("*", r"(uid=\2a)"),
        (")(uid=*", r"(uid=\29\28uid=\2a)"),
        ("a\\2a", r"(uid=a\5c2a)"),
        ("{user}{dn}", r"(uid=\7buser\7d\7bdn\7d)"),
        ("zoë", "(uid=zoë)"),
    ],
)
def test_names_stay_names(name: str, wanted: str) -> None:
    assert user_search(PEOPLE, name) == wanted


def test_both_places_of_a_name_are_filled() -> None:
    wanted = r"(&(objectClass=user)(|(sAMAccountName=a\28)(userPrincipalName=a\28)))"
    assert user_search(ACTIVE, "a(") == wanted


def test_a_whole_name_inside_of_a_filter() -> None:
    assert group_search(PEOPLE, r"cn=Bob (x)\, jr.", "bob") == r"(member=cn=Bob \28x\29\5c, jr.)"


def test_ids_that_are_bytes() -> None:
    raw = {"ObjectGuid": [bytes(range(250, 256)) + b"(*)\\"]}
    external_id = id_of(ACTIVE, raw)
    assert external_id == "fafbfcfdfeff282a295c"
    assert id_search(ACTIVE, external_id) == r"(objectGUID=\fa\fb\fc\fd\fe\ff\28\2a\29\5c)"
    assert id_of(PEOPLE, raw) is None
    assert id_of(PEOPLE, {"entryUUID": [b"\xff"]}) is None


@pytest.mark.parametrize(
    ("dn", "name"),
    [
        ("cn=staff,ou=groups,dc=example", "staff"),
        (r"CN=R\2CD \+ ops\,x,OU=Groups", "R,D + ops,x"),
        (r"cn=Gr\C3\BC\C3\9Fe,dc=example", "Grüße"),
        ("cn=a+uid=b,dc=example", "a"),
        ("cn= ,dc=example", None),
        ("nonsense", None),
        ("", None),
    ],
)
def test_names_of_groups_by_their_whole_names(dn: str, name: str | None) -> None:
    assert first_name(dn) == name


def test_what_is_known_of_alice() -> None:
    raw = {
        "UID": [b"alice", b"al"],
        "mail": [b"\xff\xfe", b"alice@example.org"],
        "memberOf": [b"cn=staff,dc=example", b"cn=ops,dc=example", b"cn=\xff"],
        "userPassword": [b"{SSHA}secret"],
    }
    claims = claims_of(PEOPLE, raw, ["ops", "dev"])
    assert claims == {
        "uid": "alice",
        "mail": "alice@example.org",
        "groups": ["ops", "dev", "staff"],
        "email_verified": True,
    }


@pytest.mark.parametrize("name", ["", "a\nb", "a\0", "x" * 256, "\ud800"])
def test_names_that_nobody_has(name: str) -> None:
    assert not is_name(name)
