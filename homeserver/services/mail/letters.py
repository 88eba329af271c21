"""What other services write mail with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from homeserver.services.mail.mail import recipient_of
from homeserver.services.mail.mailer import Mailer
from homeserver.services.mail.templates import Templates


@dataclass(frozen=True, slots=True)
class Letters:
    """Mail of named kinds (templates/KIND.txt, KIND.html). Who may get none has no `Letters` but None."""

    templates: Templates
    mailer: Mailer

    def check(self) -> None:
        """Before anything is written down that a mail belongs to. Raises Unavailable where none can be sent now."""
        self.mailer.check()

    def send(
        self,
        kind: str,
        address: str,
        values: Mapping[str, str],
        *,
        html_values: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Write to an address and return at once. Raises InvalidParam where it is none, Unavailable where too much waits.

        `html_values`: fragments of HTML that are put in as they are, instead of the escaped `values` of the same name.
        """
        recipient_of(address)
        self.mailer.post(self.templates.render(kind, address, values, html_values=html_values, headers=headers))
