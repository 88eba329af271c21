"""The table of room versions."""

from __future__ import annotations

import pytest

from homeserver.protocol.errors import UnsupportedRoomVersion
from homeserver.protocol.room_versions import DEFAULT_ROOM_VERSION, ROOM_VERSIONS, StateResolution, room_version


def test_all_stable_room_versions_are_known_and_the_newest_is_the_default() -> None:
    stable = [name for name, rules in ROOM_VERSIONS.items() if rules.is_stable]
    assert stable == [str(number) for number in range(1, 13)]
    assert [*ROOM_VERSIONS] == [*stable, "org.matrix.msc3757.11"]
    assert DEFAULT_ROOM_VERSION is room_version("12")
    assert all(str(rules) == name for name, rules in ROOM_VERSIONS.items())


@pytest.mark.parametrize("name", ["", "13", "org.matrix.msc1", 12, None, ["1"]])
def test_an_unknown_version_is_refused(name: object) -> None:
    with pytest.raises(UnsupportedRoomVersion):
        room_version(name)


def test_each_version_resolves_state_its_own_way() -> None:
    algorithms = [rules.state_resolution for rules in ROOM_VERSIONS.values() if rules.is_stable]
    assert algorithms == [StateResolution.V1, *[StateResolution.V2] * 10, StateResolution.V2_1]
