"""Errors as OAuth has them: `{"error", "error_description"}` (RFC 6749, 5.2; RFC 7591, 3.2.2; RFC 8628, 3.5)."""

from __future__ import annotations

from typing import Any, Final

from homeserver.protocol.errors import MatrixError

INVALID_REQUEST: Final = "invalid_request"
INVALID_CLIENT: Final = "invalid_client"
INVALID_GRANT: Final = "invalid_grant"
INVALID_SCOPE: Final = "invalid_scope"
UNAUTHORIZED_CLIENT: Final = "unauthorized_client"
UNSUPPORTED_GRANT_TYPE: Final = "unsupported_grant_type"
UNSUPPORTED_RESPONSE_TYPE: Final = "unsupported_response_type"
ACCESS_DENIED: Final = "access_denied"
INTERACTION_REQUIRED: Final = "interaction_required"
INVALID_REDIRECT_URI: Final = "invalid_redirect_uri"
INVALID_CLIENT_METADATA: Final = "invalid_client_metadata"
AUTHORIZATION_PENDING: Final = "authorization_pending"
SLOW_DOWN: Final = "slow_down"
EXPIRED_TOKEN: Final = "expired_token"


class OAuthError(MatrixError):
    """One of the codes above, with a sentence for developers."""

    def __init__(self, code: str, description: str, status: int = 400) -> None:
        super().__init__("M_UNKNOWN", status, description)
        self.code = code

    @property
    def body(self) -> dict[str, Any]:
        return {"error": self.code, "error_description": self.message}
