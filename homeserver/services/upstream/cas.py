"""A CAS server: it gives the browser a ticket, and tells us whose it is. Source: CAS Protocol 3.0, sections 2.2 and 2.6."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from homeserver.protocol.errors import BadGateway, Forbidden, Unavailable
from homeserver.services.text_limits import is_storable
from homeserver.services.upstream.claims import person_of
from homeserver.services.upstream.client import Proved
from homeserver.services.upstream.provider import Provider
from homeserver.services.upstream.secrets import FlowSecrets
from homeserver.services.upstream.web import ProviderWeb

NAMESPACE: Final = "{http://www.yale.edu/tp/cas}"
MAX_TICKET: Final = 1024
MAX_USER: Final = 255
USER: Final = "user"
"""The claim that is the name."""


@dataclass(frozen=True, slots=True)
class CasClient:
    """`service_url`: where tickets come to, without its query."""

    provider: Provider
    server_url: str
    service_url: str
    web: ProviderWeb

    async def address(self, secrets: FlowSecrets) -> str:
        """As services/upstream/client.py says. The state is part of the address that the ticket is for."""
        return self.login_address({"state": secrets.state})

    async def proved(self, secrets: FlowSecrets, answer: Mapping[str, str]) -> Proved:
        """As services/upstream/client.py says."""
        return await self.validated(answer.get("ticket", ""), {"state": secrets.state})

    def login_address(self, query: Mapping[str, str]) -> str:
        """The page of the CAS server, for a ticket to an address of ours with this query."""
        return f"{self.server_url}/login?{urlencode({'service': self._service(query)})}"

    async def validated(self, ticket: str, query: Mapping[str, str]) -> Proved:
        """Whose ticket it is. Raises Forbidden, Unavailable, BadGateway."""
        if not ticket or len(ticket) > MAX_TICKET:
            raise Forbidden("The provider sent no ticket")
        asked = urlencode({"ticket": ticket, "service": self._service(query)})
        answer = await self.web.ask("GET", f"{self.server_url}/proxyValidate?{asked}")
        if answer.status != 200:
            raise Unavailable(f"The provider does not work right now ({answer.status})")
        claims = read_validation(answer.body)
        return Proved(person_of(claims[USER], claims, self.provider.attributes))

    def _service(self, query: Mapping[str, str]) -> str:
        return f"{self.service_url}?{urlencode(query)}"


def read_validation(body: bytes) -> dict[str, Any]:
    """The user and his attributes. Raises Forbidden where the ticket is not good, BadGateway for what is no answer."""
    # Imported when somebody comes.
    from xml.etree import ElementTree

    # Entities are declared in a document type, and an answer of CAS has none: nothing can grow, or be fetched.
    if b"<!" in body:
        raise BadGateway("The provider's answer cannot be understood")
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 - see above
    except (ElementTree.ParseError, ValueError, LookupError):
        raise BadGateway("The provider's answer cannot be understood") from None
    success = root.find(f"{NAMESPACE}authenticationSuccess")
    if root.tag != f"{NAMESPACE}serviceResponse" or success is None:
        raise Forbidden("The provider does not take its own ticket (any more): begin again")
    user = (success.findtext(f"{NAMESPACE}user") or "").strip()
    if not user or not user.isprintable() or not is_storable(user, MAX_USER):
        raise BadGateway("The provider does not say who you are")
    return {**_attributes(success.find(f"{NAMESPACE}attributes")), USER: user}


def _attributes(element: Any) -> dict[str, Any]:
    """What comes more than once is a list."""
    found: dict[str, list[str]] = {}
    for each in element if element is not None else ():
        found.setdefault(each.tag.rpartition("}")[2], []).append((each.text or "").strip())
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}
