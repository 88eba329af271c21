"""Addresses that no stranger can make us contact."""

from __future__ import annotations

import pytest

from config.settings import FederationSettings
from homeserver.federation.addresses import AddressDenied, AddressGuard


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "169.254.169.254",
        "0.0.0.0",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fd00::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::7f00:1",
        "::ffff:0:127.0.0.1",
        "::127.0.0.1",
        "::a00:1",
        "2002:7f00:1::1",
        "not an address",
        "",
    ],
)
def test_the_inside_is_denied_in_every_spelling(address: str) -> None:
    guard = AddressGuard(FederationSettings().ip_denylist)
    assert not guard.allows(address)
    with pytest.raises(AddressDenied):
        guard.open_socket((2, 1, 6, "", (address, 8448)))


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_the_outside_is_allowed(address: str) -> None:
    assert AddressGuard(FederationSettings().ip_denylist).allows(address)


def test_who_allows_this_machine_allows_it_in_both_protocols() -> None:
    guard = AddressGuard(["0.0.0.0/8", "10.0.0.0/8"])
    assert guard.allows("127.0.0.1")
    assert guard.allows("::1")
    assert not guard.allows("::10.0.0.1")
