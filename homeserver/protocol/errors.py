# ruff: noqa: N818  (names of the protocol, not of Python: `Forbidden`, `NotFound`)
"""One family of errors for the whole server; only the HTTP edge turns them into JSON.

    MatrixError                     anything that is answered with `{"errcode": ..., "error": ...}`
      StandardError                 one subclass per errcode and status; `Cls("what went wrong", **extra_keys)`
        Forbidden, NotFound, BadJson, ...                   the client (or the other server) did wrong: 4xx
          InvalidEvent, EventTooLarge                       an event that may not exist (see event_format.py)
        Unavailable, ConnectionFailed, ...                  we did wrong, or somebody we depend on: 5xx
      UserInteractiveAuthRequired   401 whose body lists authentication flows instead of an errcode

Every subclass registers itself, so a server's answer can be turned back into the class that fits
(`error_from_response`). Source: client-server API, "Standard error response".
"""

from __future__ import annotations

from typing import Any, ClassVar

ERRORS_BY_ERRCODE: dict[str, type[StandardError]] = {}
"""The first class registered for an errcode; further classes of the same code differ in status only."""


class MatrixError(Exception):
    """An error with all its JSON answer needs: errcode, HTTP status, a message for people, extra top-level keys."""

    def __init__(self, errcode: str, status: int, message: str, data: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.errcode = errcode
        self.status = status
        self.message = message
        self.data: dict[str, Any] = data or {}

    @property
    def body(self) -> dict[str, Any]:
        """The JSON object to answer with."""
        return {"errcode": self.errcode, "error": self.message, **self.data}

    def __str__(self) -> str:
        return f"{self.errcode}: {self.message}"


class StandardError(MatrixError):
    """Base of the errors known by name; the class line gives errcode and status, the docstring the default message."""

    standard_errcode: ClassVar[str] = "M_UNKNOWN"
    standard_status: ClassVar[int] = 400

    def __init_subclass__(cls, errcode: str | None = None, status: int | None = None) -> None:
        super().__init_subclass__()
        if errcode is not None:
            cls.standard_errcode = errcode
            ERRORS_BY_ERRCODE.setdefault(errcode, cls)
        if status is not None:
            cls.standard_status = status

    def __init__(self, message: str | None = None, **data: Any) -> None:
        super().__init__(self.standard_errcode, self.standard_status, message or (self.__doc__ or "").strip(), data)


def error_from_response(status: int, body: object) -> MatrixError:
    """Turn another server's error answer into our error of the same meaning, keeping its status and extra keys."""
    fields = dict(body) if isinstance(body, dict) else {}
    errcode, message = fields.pop("errcode", None), fields.pop("error", None)
    errcode = errcode if isinstance(errcode, str) else "M_UNKNOWN"
    message = message if isinstance(message, str) else f"The other server answered with status {status}."
    cls = ERRORS_BY_ERRCODE.get(errcode)
    if cls is None:
        return MatrixError(errcode, status, message, fields)
    # Not by its own constructor, which may ask for keys that the answer lacks.
    error = cls.__new__(cls)
    MatrixError.__init__(error, errcode, status, message, fields)
    return error


# --- What every endpoint may answer -------------------------------------------------------------------------------


class Forbidden(StandardError, errcode="M_FORBIDDEN", status=403):
    """You are not allowed to do this."""


class NotFound(StandardError, errcode="M_NOT_FOUND", status=404):
    """There is nothing here."""


class BadJson(StandardError, errcode="M_BAD_JSON", status=400):
    """The JSON is valid, but a field is missing or has the wrong type."""


class NotJson(StandardError, errcode="M_NOT_JSON", status=400):
    """The request body is not valid JSON."""


class InvalidParam(StandardError, errcode="M_INVALID_PARAM", status=400):
    """A parameter has a value that is not allowed."""


class UnknownPos(StandardError, errcode="M_UNKNOWN_POS", status=400):
    """This connection is not known any longer: begin a new one, without `pos`."""


class MissingParam(StandardError, errcode="M_MISSING_PARAM", status=400):
    """A required parameter is missing."""


class Unknown(StandardError, errcode="M_UNKNOWN", status=400):
    """The request could not be carried out."""


class Unrecognized(StandardError, errcode="M_UNRECOGNIZED", status=404):
    """This endpoint does not exist here."""


class Conflict(StandardError, status=409):
    """This has been decided otherwise already."""

    standard_errcode = "M_UNKNOWN"


class MethodNotAllowed(StandardError, status=405):
    """This endpoint does not support that method."""

    standard_errcode = "M_UNRECOGNIZED"


class TooLarge(StandardError, errcode="M_TOO_LARGE", status=413):
    """The request or the event is too large."""


class LimitExceeded(StandardError, errcode="M_LIMIT_EXCEEDED", status=429):
    """Too many requests."""

    def __init__(self, message: str | None = None, *, retry_after_ms: int | None = None, **data: Any) -> None:
        super().__init__(message, **data)
        if retry_after_ms is not None:
            self.data["retry_after_ms"] = retry_after_ms


# --- Tokens and accounts ------------------------------------------------------------------------------------------


class MissingToken(StandardError, errcode="M_MISSING_TOKEN", status=401):
    """This endpoint needs an access token."""


class UnknownToken(StandardError, errcode="M_UNKNOWN_TOKEN", status=401):
    """The access token is not known."""

    def __init__(self, message: str | None = None, *, soft_logout: bool = False, **data: Any) -> None:
        super().__init__(message, **data)
        self.data["soft_logout"] = soft_logout


class Unauthorized(StandardError, errcode="M_UNAUTHORIZED", status=401):
    """The request was not correctly authorised."""


class UserInUse(StandardError, errcode="M_USER_IN_USE", status=400):
    """That user name is taken."""


class InvalidUsername(StandardError, errcode="M_INVALID_USERNAME", status=400):
    """That user name is not valid."""


class Exclusive(StandardError, errcode="M_EXCLUSIVE", status=400):
    """That name is reserved by an application service."""


class WeakPassword(StandardError, errcode="M_WEAK_PASSWORD", status=400):
    """The password is too weak."""


class UserDeactivated(StandardError, errcode="M_USER_DEACTIVATED", status=403):
    """This account has been deactivated."""


class UserLocked(StandardError, errcode="M_USER_LOCKED", status=401):
    """This account has been locked."""

    def __init__(self, message: str | None = None, *, soft_logout: bool = True, **data: Any) -> None:
        super().__init__(message, **data)
        self.data["soft_logout"] = soft_logout


class UserSuspended(StandardError, errcode="M_USER_SUSPENDED", status=403):
    """You cannot do this while your account is suspended."""


class ExpiredAccount(StandardError, errcode="ORG_MATRIX_EXPIRED_ACCOUNT", status=403):
    """This account has expired: it has to be renewed."""


class ResourceLimitExceeded(StandardError, errcode="M_RESOURCE_LIMIT_EXCEEDED", status=403):
    """This server has reached a limit set by its operator."""


class UserLimitExceeded(StandardError, errcode="M_USER_LIMIT_EXCEEDED", status=403):
    """You have reached a limit of your account."""


class UnknownDevice(StandardError, errcode="M_UNKNOWN_DEVICE", status=400):
    """That device does not exist."""


class AppserviceLoginUnsupported(StandardError, errcode="M_APPSERVICE_LOGIN_UNSUPPORTED", status=400):
    """This server supports application service login only through the OAuth 2.0 API or not at all."""


class CaptchaNeeded(StandardError, errcode="M_CAPTCHA_NEEDED", status=400):
    """A captcha is required."""


class CaptchaInvalid(StandardError, errcode="M_CAPTCHA_INVALID", status=400):
    """The captcha is not correct."""


class ThreepidNotFound(StandardError, errcode="M_THREEPID_NOT_FOUND", status=400):
    """That third-party identifier is not known."""


class ThreepidInUse(StandardError, errcode="M_THREEPID_IN_USE", status=400):
    """That third-party identifier is in use."""


class ThreepidDenied(StandardError, errcode="M_THREEPID_DENIED", status=403):
    """That third-party identifier is not allowed here."""


class ThreepidAuthFailed(StandardError, errcode="M_THREEPID_AUTH_FAILED", status=403):
    """That third-party identifier could not be verified."""


class ThreepidMediumNotSupported(StandardError, errcode="M_THREEPID_MEDIUM_NOT_SUPPORTED", status=400):
    """That kind of third-party identifier is not supported."""


class ServerNotTrusted(StandardError, errcode="M_SERVER_NOT_TRUSTED", status=400):
    """That server is not trusted."""


# --- Rooms and events ---------------------------------------------------------------------------------------------


class RoomInUse(StandardError, errcode="M_ROOM_IN_USE", status=400):
    """That room alias is taken."""


class AliasExists(StandardError, status=409):
    """A room alias with that name exists already."""

    standard_errcode = "M_UNKNOWN"


class UnsupportedRoomVersion(StandardError, errcode="M_UNSUPPORTED_ROOM_VERSION", status=400):
    """This server does not support that room version."""


class IncompatibleRoomVersion(StandardError, errcode="M_INCOMPATIBLE_ROOM_VERSION", status=400):
    """The room has a version the other server does not support."""

    def __init__(self, message: str | None = None, *, room_version: str, **data: Any) -> None:
        super().__init__(message, room_version=room_version, **data)


class InvalidRoomState(StandardError, errcode="M_INVALID_ROOM_STATE", status=400):
    """The requested state would make an invalid room."""


class BadState(StandardError, errcode="M_BAD_STATE", status=400):
    """The state change cannot be made."""


class MembershipInTheWay(BadState, status=403):
    """This cannot be done to a user with that membership."""


class BadAlias(StandardError, errcode="M_BAD_ALIAS", status=400):
    """An alias in the event does not point to this room."""


class GuestAccessForbidden(StandardError, errcode="M_GUEST_ACCESS_FORBIDDEN", status=403):
    """Guests may not do this."""


class InviteBlocked(StandardError, errcode="M_INVITE_BLOCKED", status=403):
    """This user does not accept invitations."""


class UnableToAuthoriseJoin(StandardError, errcode="M_UNABLE_TO_AUTHORISE_JOIN", status=400):
    """This server cannot check the conditions of the restricted join."""


class UnableToGrantJoin(StandardError, errcode="M_UNABLE_TO_GRANT_JOIN", status=400):
    """No user of this server may invite, so it cannot grant the restricted join."""


class CannotLeaveServerNoticeRoom(StandardError, errcode="M_CANNOT_LEAVE_SERVER_NOTICE_ROOM", status=403):
    """The room of the server's notices cannot be left."""


class DuplicateAnnotation(StandardError, errcode="M_DUPLICATE_ANNOTATION", status=400):
    """You have reacted with this already."""


class InvalidEvent(StandardError, status=400):
    """The event does not have the format its room version demands."""

    standard_errcode = "M_BAD_JSON"


class EventTooLarge(TooLarge):
    """The event, or one of its fields, is too large."""


# --- Keys, profiles and media -------------------------------------------------------------------------------------


class InvalidSignature(StandardError, errcode="M_INVALID_SIGNATURE", status=400):
    """A signature is missing or does not fit."""


class WrongRoomKeysVersion(StandardError, errcode="M_WRONG_ROOM_KEYS_VERSION", status=403):
    """That is not the current version of the key backup."""

    def __init__(self, message: str | None = None, *, current_version: str | None = None, **data: Any) -> None:
        super().__init__(message, **data)
        if current_version is not None:
            self.data["current_version"] = current_version


class KeyTooLarge(StandardError, errcode="M_KEY_TOO_LARGE", status=400):
    """The name of the profile field is too long."""


class ProfileTooLarge(StandardError, errcode="M_PROFILE_TOO_LARGE", status=400):
    """The profile would become too large."""


class NotYetUploaded(StandardError, errcode="M_NOT_YET_UPLOADED", status=504):
    """The content has not been uploaded yet."""


class CannotOverwriteMedia(StandardError, errcode="M_CANNOT_OVERWRITE_MEDIA", status=409):
    """Content exists at this address already."""


class UrlNotSet(StandardError, errcode="M_URL_NOT_SET", status=400):
    """The application service has no address."""


# --- We, or somebody we depend on ---------------------------------------------------------------------------------


class Unavailable(StandardError, status=503):
    """The server cannot answer right now; try again."""

    standard_errcode = "M_UNKNOWN"


class InternalError(StandardError, status=500):
    """Something went wrong inside the server."""

    standard_errcode = "M_UNKNOWN"


class BadGateway(StandardError, status=502):
    """The other server gave no useful answer."""

    standard_errcode = "M_UNKNOWN"


class ConnectionFailed(StandardError, errcode="M_CONNECTION_FAILED", status=502):
    """The other server could not be reached."""


class ConnectionTimeout(StandardError, errcode="M_CONNECTION_TIMEOUT", status=504):
    """The other server took too long to answer."""


class BadStatus(StandardError, errcode="M_BAD_STATUS", status=502):
    """The other server answered with an unexpected status."""


class UserInteractiveAuthRequired(MatrixError):
    """401 that asks for more authentication stages: flows, params, session; an errcode only after a failed stage."""

    def __init__(
        self,
        flows: list[dict[str, Any]],
        params: dict[str, Any],
        session: str,
        completed: list[str] | None = None,
        failure: MatrixError | None = None,
    ) -> None:
        data: dict[str, Any] = {"flows": flows, "params": params, "session": session}
        if completed or failure is not None:
            data["completed"] = completed or []
        if failure is None:
            super().__init__("M_UNAUTHORIZED", 401, "More authentication is needed.", data)
        else:
            super().__init__(failure.errcode, 401, failure.message, data)
        self.failure = failure

    @property
    def body(self) -> dict[str, Any]:
        """The flows, and the error of the stage that failed, if one did."""
        return super().body if self.failure else dict(self.data)
