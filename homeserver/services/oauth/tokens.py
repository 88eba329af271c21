"""The token endpoint's verbs, and revocation. The tokens themselves are those of every session."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.protocol import errors
from homeserver.protocol.oauth import pkce
from homeserver.protocol.oauth.client_metadata import AUTHORIZATION_CODE, ClientMetadata
from homeserver.protocol.oauth.errors import INVALID_GRANT, UNAUTHORIZED_CLIENT, OAuthError
from homeserver.services.accounts.login import Login
from homeserver.services.audit.audit_log import AuditLog
from homeserver.services.devices import Devices
from homeserver.services.oauth.device_grants import DeviceGrants
from homeserver.services.sessions.sessions import OpenedSession, Sessions, SessionWish
from homeserver.services.sessions.tokens import MAX_TOKEN_CHARACTERS, hash_token
from homeserver.storage.oauth_codes import OAuthCodeRows, StoredCode
from homeserver.storage.oauth_grants import DeviceOfToken, Grant, OAuthGrantRows

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.storage.database import Database, Queries

NOT_VALID = "This code is not valid (any more)"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came from."""

    address: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class IssuedTokens:
    """The only moment at which they are known."""

    access_token: str
    refresh_token: str
    expires_in_ms: int
    scope: str


@dataclass(frozen=True, slots=True)
class OAuthTokens:
    """What a client has been granted becomes a session; whatever is used a second time ends it."""

    database: Database
    codes: OAuthCodeRows
    grants: OAuthGrantRows
    device_grants: DeviceGrants
    login: Login
    sessions: Sessions
    devices: Devices
    clock: Clock
    audit: AuditLog

    async def with_code(
        self, client: ClientMetadata, code: str, redirect_uri: str, verifier: str, origin: Origin
    ) -> IssuedTokens:
        """Authorization code grant (RFC 6749, 4.1.3). Raises OAuthError."""
        if AUTHORIZATION_CODE not in client.grant_types:
            raise OAuthError(UNAUTHORIZED_CLIENT, "This client did not register for the authorization code grant")
        if len(code) > MAX_TOKEN_CHARACTERS:
            raise OAuthError(INVALID_GRANT, NOT_VALID)
        code_hash = hash_token(code)
        stored = await self.codes.get(self.database, code_hash)
        if stored is None or stored.client_id != client.client_id:
            raise OAuthError(INVALID_GRANT, NOT_VALID)
        if stored.used:
            await self._end(DeviceOfToken(stored.user_id, stored.device_id), "oauth.code_reused", origin)
            raise OAuthError(INVALID_GRANT, NOT_VALID)
        self._check_code(stored, redirect_uri, verifier)

        async def use(tx: Queries) -> bool:
            return await self.codes.use(tx, code_hash)

        grant = Grant(stored.client_id, stored.scope)
        return await self._open(client, stored.user_id, stored.device_id, grant, origin, use)

    def _check_code(self, stored: StoredCode, redirect_uri: str, verifier: str) -> None:
        if stored.expires_ms <= self.clock.now_ms() or stored.redirect_uri != redirect_uri:
            raise OAuthError(INVALID_GRANT, NOT_VALID)
        if not pkce.fits(stored.code_challenge, verifier):
            raise OAuthError(INVALID_GRANT, "'code_verifier' is not the one of this request")

    async def with_device_code(self, client: ClientMetadata, device_code: str, origin: Origin) -> IssuedTokens:
        """Device authorization grant (RFC 8628, 3.4). Raises OAuthError."""
        if len(device_code) > MAX_TOKEN_CHARACTERS:
            raise OAuthError(INVALID_GRANT, NOT_VALID)
        granted = await self.device_grants.poll(client, device_code)
        assert granted.user_id is not None

        async def use(tx: Queries) -> bool:
            return await self.device_grants.rows.use(tx, granted.device_code_hash)

        grant = Grant(granted.client_id, granted.scope)
        return await self._open(client, granted.user_id, granted.device_id, grant, origin, use)

    async def _open(
        self,
        client: ClientMetadata,
        user_id: str,
        device_id: str,
        grant: Grant,
        origin: Origin,
        use: Callable[[Queries], Awaitable[bool]],
    ) -> IssuedTokens:
        """One transaction: the proof is used up, the device signed in, and it is noted with which client."""

        async def note(tx: Queries, opened: OpenedSession) -> None:
            if not await use(tx):
                raise OAuthError(INVALID_GRANT, NOT_VALID)
            await self.grants.add(tx, user_id, device_id, grant, self.clock.now_ms())
            details = {"client": grant.client_id, "device": device_id}
            await self.audit.record_as(tx, user_id, "oauth.sign_in", user_id, details, address=origin.address)

        try:
            wish = SessionWish(
                device_id, client.name, can_refresh=True, ip=origin.address, user_agent=origin.user_agent
            )
            await self.login.check_device_id(user_id, device_id)
            opened = await self.sessions.log_in(user_id, wish, then=(note,))
        except (errors.UserDeactivated, errors.UserLocked, errors.Forbidden, errors.InvalidParam) as error:
            raise OAuthError(INVALID_GRANT, error.message) from None
        assert opened.refresh_token is not None
        assert opened.expires_in_ms is not None
        return IssuedTokens(opened.access_token, opened.refresh_token, opened.expires_in_ms, grant.scope)

    async def refresh(self, client_id: str, refresh_token: str, origin: Origin) -> IssuedTokens:
        """Refresh token grant. Raises OAuthError.

        The token before stays good until the new ones are used: an answer may be lost. "The homeserver SHOULD consider that
        the session is compromised if an old, invalidated refresh token is used, and SHOULD revoke the session."
        """
        if len(refresh_token) > MAX_TOKEN_CHARACTERS:
            raise OAuthError(INVALID_GRANT, "The refresh token is not known")
        token_hash = hash_token(refresh_token)
        grant = await self.grants.of_refresh_token(self.database, token_hash)
        if grant is None:
            stolen_from = await self.grants.of_retired_token(self.database, token_hash)
            if stolen_from is not None:
                await self._end(stolen_from, "oauth.refresh_token_reused", origin)
            raise OAuthError(INVALID_GRANT, "The refresh token is not known")
        try:
            refreshed = await self.sessions.refresh(refresh_token, client_id)
        except (errors.UnknownToken, errors.UserLocked) as error:
            raise OAuthError(INVALID_GRANT, error.message) from None
        return IssuedTokens(refreshed.access_token, refreshed.refresh_token, refreshed.expires_in_ms, grant.scope)

    async def revoke(self, token: str, origin: Origin) -> None:
        """ "Revoke both the access token and refresh token": the device is gone. A token that is not known is no error."""
        if len(token) > MAX_TOKEN_CHARACTERS:
            return
        device = await self.grants.of_token(self.database, hash_token(token))
        if device is not None:
            await self._end(device, "oauth.revoke", origin)

    async def _end(self, device: DeviceOfToken, action: str, origin: Origin) -> None:
        await self.audit.record_as(
            self.database, device.user_id, action, device.user_id, {"device": device.device_id}, address=origin.address
        )
        await self.devices.delete(device.user_id, [device.device_id])
