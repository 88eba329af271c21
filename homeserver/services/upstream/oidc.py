"""One OpenID Connect provider: where to send the browser, and what the code it brings back is good for."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_plus, urlencode, urlsplit

from homeserver.protocol.errors import BadGateway, Forbidden, Unavailable
from homeserver.services.upstream.claims import person_of
from homeserver.services.upstream.client import Proved
from homeserver.services.upstream.discovery import Metadata, metadata_url, read_metadata
from homeserver.services.upstream.jwt import Expected, UnknownKey, id_token_claims, logout_claims, subject_of
from homeserver.services.upstream.provider import OidcProvider, Provider
from homeserver.services.upstream.secrets import FlowSecrets

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.services.upstream.web import ProviderWeb

METADATA_LIFETIME_MS: Final = 60 * 60_000
KEYS_LIFETIME_MS: Final = 60 * 60_000
# Whoever sends tokens with keys that nobody has makes us ask no more often than this.
NEW_KEYS_INTERVAL_MS: Final = 10_000
# For how long nobody asks again for what a provider did not say.
DOWN_MS: Final = 3_000
MAX_CODE: Final = 4096
Check = Callable[[Sequence[dict[str, Any]]], dict[str, Any]]

# What the token itself says is signed; what userinfo says under these names is not believed.
SIGNED_ONLY: Final = frozenset(
    {"iss", "aud", "exp", "iat", "nbf", "nonce", "azp", "at_hash", "sub", "sid", "auth_time"}
)


@dataclass(slots=True)
class OidcClient:
    """Metadata and keys are fetched when first needed, and again when they are old."""

    settings: OidcProvider
    redirect_uri: str
    web: ProviderWeb
    clock: Clock
    allow_http: bool = False
    _metadata: tuple[int, Metadata] | None = None
    _keys: tuple[int, list[dict[str, Any]]] | None = None
    _down_until_ms: int = 0
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def provider(self) -> Provider:
        return self.settings.provider

    async def address(self, secrets: FlowSecrets) -> str:
        """As services/upstream/client.py says."""
        return await self.authorization_url(secrets)

    async def proved(self, secrets: FlowSecrets, answer: Mapping[str, str]) -> Proved:
        """As services/upstream/client.py says. RFC 6749 section 4.1.2."""
        if "error" in answer:
            cancelled = answer["error"] == "access_denied"
            raise Forbidden("You were not signed in" if cancelled else "The provider could not sign you in")
        return await self.redeem(secrets, answer.get("code", ""), answer.get("iss"))

    async def authorization_url(self, secrets: FlowSecrets) -> str:
        """Where the browser goes. Raises Unavailable, BadGateway where the provider cannot be used."""
        endpoint = (await self.metadata()).authorization_endpoint
        query = {
            **self.settings.parameters,
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": " ".join(self.settings.scopes),
            "state": secrets.state,
            "nonce": secrets.nonce,
            "code_challenge": secrets.challenge,
            "code_challenge_method": "S256",
        }
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(query)}"

    async def redeem(self, secrets: FlowSecrets, code: str, issuer: str | None) -> Proved:
        """Who it is. `issuer`: what the answer in the browser calls itself.

        Raises Forbidden for what cannot be believed, Unavailable, BadGateway.
        """
        if not code or len(code) > MAX_CODE:
            raise Forbidden("The provider sent no code")
        metadata = await self.metadata()
        # RFC 9207 section 2.4: an answer of another provider is not taken for one of this.
        if issuer != metadata.issuer and (issuer is not None or metadata.names_issuer):
            raise Forbidden("This answer is another provider's")
        tokens = await self._exchange(metadata, code, secrets.verifier)
        id_token, access_token = tokens.get("id_token"), tokens.get("access_token")
        if not isinstance(id_token, str) or not isinstance(access_token, str):
            raise BadGateway("The provider's answer has no tokens")
        claims = await self._with_keys(
            lambda keys: id_token_claims(id_token, keys, self._expected(), secrets.nonce, access_token)
        )
        if self.settings.asks_userinfo and metadata.userinfo_endpoint is not None:
            claims = {**await self._userinfo(metadata.userinfo_endpoint, access_token, subject_of(claims)), **claims}
        sid = claims.get("sid")
        person = person_of(subject_of(claims), claims, self.settings.provider.attributes)
        return Proved(person, sid if isinstance(sid, str) else None)

    async def signed_out(self, logout_token: str) -> dict[str, Any]:
        """The claims of a logout token. Raises Forbidden, Unavailable, BadGateway."""
        return await self._with_keys(lambda keys: logout_claims(logout_token, keys, self._expected()))

    def _expected(self) -> Expected:
        settings = self.settings
        return Expected(settings.issuer, settings.client_id, settings.algorithms, self.clock.now_ms() / 1000)

    async def metadata(self) -> Metadata:
        """What the provider says of itself. Raises Unavailable, BadGateway."""
        async with self._asking:
            now_ms = self.clock.now_ms()
            if self._metadata is None or self._metadata[0] <= now_ms:
                document = await self._document(metadata_url(self.settings.issuer))
                found = read_metadata(document, self.settings.issuer, allow_http=self.allow_http)
                self._metadata = (now_ms + METADATA_LIFETIME_MS, found)
            return self._metadata[1]

    async def _document(self, url: str) -> dict[str, Any]:
        """Those who wait for one that is down are told together, not one after the other."""
        if self.clock.now_ms() < self._down_until_ms:
            raise Unavailable("The provider does not work right now")
        try:
            answer = await self.web.ask("GET", url, headers={"Accept": "application/json"})
            if answer.status != 200:
                raise Unavailable(f"The provider does not work right now ({answer.status})")
        except Unavailable:
            self._down_until_ms = self.clock.now_ms() + DOWN_MS
            raise
        return answer.json_object()

    async def _exchange(self, metadata: Metadata, code: str, verifier: str) -> dict[str, Any]:
        """OpenID Connect Core, section 3.1.3; the client proves itself as RFC 6749 section 2.3.1 says."""
        settings = self.settings
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": verifier,
        }
        headers = {"Accept": "application/json"}
        if settings.client_authentication == "client_secret_basic":
            pair = f"{quote_plus(settings.client_id)}:{quote_plus(settings.client_secret or '')}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        else:
            form["client_id"] = settings.client_id
            if settings.client_authentication == "client_secret_post":
                form["client_secret"] = settings.client_secret or ""
        answer = await self.web.ask("POST", metadata.token_endpoint, headers=headers, form=form)
        if answer.status >= 500:
            raise Unavailable(f"The provider does not work right now ({answer.status})")
        if answer.status != 200:
            raise Forbidden("The provider does not take its own code (any more): begin again")
        return answer.json_object()

    async def _userinfo(self, url: str, access_token: str, subject: str) -> dict[str, Any]:
        headers = {"Accept": "application/json", "Authorization": f"Bearer {access_token}"}
        answer = await self.web.ask("GET", url, headers=headers)
        if answer.status != 200 or not answer.content_type.startswith("application/json"):
            raise BadGateway("The provider says nothing about this person")
        claims = answer.json_object()
        # "The sub Claim in the UserInfo Response MUST be verified to exactly match the sub Claim in the ID Token."
        if claims.get("sub") != subject:
            raise Forbidden("The provider speaks of two different people")
        return {name: value for name, value in claims.items() if name not in SIGNED_ONLY}

    async def _with_keys(self, check: Check) -> dict[str, Any]:
        """With the keys that are known; where none fits, with those that the provider has now."""
        try:
            return check(await self._known_keys(KEYS_LIFETIME_MS))
        except UnknownKey:
            pass
        try:
            return check(await self._known_keys(NEW_KEYS_INTERVAL_MS))
        except UnknownKey:
            raise Forbidden("The provider's token cannot be believed: nobody knows its key") from None

    async def _known_keys(self, max_age_ms: int) -> list[dict[str, Any]]:
        metadata = await self.metadata()
        async with self._asking:
            now_ms = self.clock.now_ms()
            if self._keys is None or now_ms - self._keys[0] >= max_age_ms:
                listed = (await self._document(metadata.jwks_uri)).get("keys")
                keys = [key for key in listed if isinstance(key, dict)] if isinstance(listed, list) else []
                self._keys = (now_ms, keys)
            return self._keys[1]
