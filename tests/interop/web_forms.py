"""Somebody in front of a real browser, on our own pages: fills in forms and presses buttons by what is written on them."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tests.interop.calls.chromium import Chromium

SECONDS = 20.0
BUTTON = "[...document.querySelectorAll('button')].find((each) => each.textContent.trim() === {label})"


@dataclass(slots=True)
class Person:
    """With a name and a password."""

    browser: Chromium
    username: str
    password: str

    async def press(self, button: str, **fields: str) -> None:
        """Fill in the form of this button, and press it."""
        found = BUTTON.format(label=json.dumps(button))
        await self.browser.wait_for(f"!!{found}", SECONDS)
        await self.browser.run(
            f"(() => {{ const button = {found}; const fields = {json.dumps(fields)};"
            " for (const [name, value] of Object.entries(fields)) button.form.elements[name].value = value;"
            " button.click(); })()"
        )

    async def sign_in(self) -> None:
        """On the sign-in page."""
        await self.press("Sign in", user=self.username, password=self.password)

    async def reads(self, text: str) -> None:
        """Wait until the page says so."""
        await self.browser.wait_for(f"document.body.innerText.includes({json.dumps(text)})", SECONDS)

    def violations(self) -> list[str]:
        """What the pages' own policy has refused."""
        return [line for line in self.browser.console if "Content Security Policy" in line]
