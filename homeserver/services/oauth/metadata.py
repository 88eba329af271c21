"""The document by which clients find everything (RFC 8414; client-server API, "Server metadata discovery")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from homeserver.protocol.oauth.authorization import RESPONSE_MODES
from homeserver.protocol.oauth.client_metadata import GRANT_TYPES
from homeserver.protocol.oauth.pkce import METHOD

ROOT: Final = "/_voicechat/oauth2"
AUTHORIZE: Final = f"{ROOT}/authorize"
TOKEN: Final = f"{ROOT}/token"
REVOKE: Final = f"{ROOT}/revoke"
REGISTER: Final = f"{ROOT}/register"
DEVICE: Final = f"{ROOT}/device"
LINK: Final = f"{ROOT}/link"
ACCOUNT: Final = "/_voicechat/account"


def issuer_of(public_baseurl: str) -> str:
    """How we are called among authorization servers."""
    return public_baseurl.rstrip("/") + "/"


def server_metadata(public_baseurl: str, actions: Sequence[str], *, can_register: bool) -> dict[str, Any]:
    """`actions`: what the account page can do. `can_register`: whether there is a page for new accounts."""
    base = public_baseurl.rstrip("/")
    return {
        "issuer": issuer_of(public_baseurl),
        "authorization_endpoint": base + AUTHORIZE,
        "token_endpoint": base + TOKEN,
        "revocation_endpoint": base + REVOKE,
        "registration_endpoint": base + REGISTER,
        "device_authorization_endpoint": base + DEVICE,
        "response_types_supported": ["code"],
        "response_modes_supported": list(RESPONSE_MODES),
        "grant_types_supported": list(GRANT_TYPES),
        "code_challenge_methods_supported": [METHOD],
        "token_endpoint_auth_methods_supported": ["none"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "authorization_response_iss_parameter_supported": True,
        "account_management_uri": base + ACCOUNT,
        "account_management_actions_supported": list(actions),
        **({"prompt_values_supported": ["create"]} if can_register else {}),
    }
