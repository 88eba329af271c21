"""The family of errors: what each is answered with, and how other servers' answers become errors."""

from __future__ import annotations

import pytest

from homeserver.protocol import errors
from homeserver.protocol.errors import ERRORS_BY_ERRCODE, MatrixError, StandardError, error_from_response


def all_errors() -> list[type[StandardError]]:
    """Every class of the family."""
    found, to_visit = [], [StandardError]
    while to_visit:
        children = to_visit.pop().__subclasses__()
        found += children
        to_visit += children
    return [cls for cls in found if cls.__module__ == errors.__name__]


@pytest.mark.parametrize("cls", all_errors(), ids=lambda cls: cls.__name__)
def test_every_error_has_code_status_and_a_message_for_people(cls: type[StandardError]) -> None:
    error = cls(room_version="1") if cls is errors.IncompatibleRoomVersion else cls()
    # Synapse's clients know the other kind.
    assert error.errcode.startswith(("M_", "ORG_MATRIX_"))
    assert 400 <= error.status < 600
    assert error.body["errcode"] == error.errcode
    assert error.body["error"].endswith(".")


@pytest.mark.parametrize(
    ("error", "body"),
    [
        (errors.Forbidden("no"), {"errcode": "M_FORBIDDEN", "error": "no"}),
        (errors.UnknownToken(soft_logout=True), {"soft_logout": True}),
        (errors.LimitExceeded(retry_after_ms=5), {"retry_after_ms": 5}),
        (errors.IncompatibleRoomVersion(room_version="9"), {"room_version": "9"}),
        (errors.WrongRoomKeysVersion(current_version="2"), {"current_version": "2"}),
    ],
)
def test_the_body_has_the_extra_keys(error: MatrixError, body: dict[str, object]) -> None:
    assert body.items() <= error.body.items()


def test_another_servers_answer_becomes_the_error_of_the_same_meaning() -> None:
    error = error_from_response(418, {"errcode": "M_FORBIDDEN", "error": "go away", "extra": 1})
    assert isinstance(error, errors.Forbidden)
    assert (error.status, error.message, error.data) == (418, "go away", {"extra": 1})


@pytest.mark.parametrize("body", [None, [], "text", {}, {"errcode": 5, "error": 6}])
def test_nonsense_of_another_server_is_still_an_error(body: object) -> None:
    error = error_from_response(500, body)
    assert error.errcode == "M_UNKNOWN"
    assert error.status == 500


def test_an_errcode_nobody_knows_is_kept() -> None:
    assert error_from_response(400, {"errcode": "ORG.EXAMPLE"}).errcode == "ORG.EXAMPLE"


@pytest.mark.parametrize("errcode", sorted(ERRORS_BY_ERRCODE))
def test_every_known_errcode_can_come_from_another_server(errcode: str) -> None:
    error = error_from_response(499, {"errcode": errcode, "error": "so it is"})
    assert isinstance(error, ERRORS_BY_ERRCODE[errcode])
    assert (error.errcode, error.status, str(error), error.data) == (errcode, 499, f"{errcode}: so it is", {})
