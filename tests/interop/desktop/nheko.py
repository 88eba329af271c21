"""nheko, the desktop client that Debian carries, and where on its window things are (version 0.11, 1066 x 600)."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.interop.desktop.screen import Screen
from tests.interop.environments import Unavailable

LOGIN_OF_WELCOME = (614, 432)
MATRIX_ID = (532, 272)
FIRST_ROOM = (130, 108)
"""Below the bar that says that encryption is not set up."""
SKIP_ENCRYPTION = (1000, 561)
MESSAGE = (600, 580)
# Without a desktop there is no secret service to ask, only a window in the way that wants a password for one.
SETTINGS = """\
[General]
run_without_secure_secrets_service=true

[user]
read_receipts=true

[window]
tray=false
"""


@dataclass(frozen=True, slots=True)
class Nheko:
    """Used as a person would: mouse, keyboard, and eyes."""

    screen: Screen

    @classmethod
    async def open(cls, screen: Screen, home: Path) -> Nheko:
        """Raises Unavailable."""
        program = shutil.which("nheko")
        if program is None:
            raise Unavailable("no nheko on this machine (Debian: apt install nheko)")
        (home / "config" / "nheko").mkdir(parents=True)
        (home / "config" / "nheko" / "nheko.conf").write_text(SETTINGS)
        empty = screen.picture()
        screen.run([program], _environment(home), home / "nheko.log")
        await screen.settle(empty)
        return cls(screen)

    async def sign_in(self, user_id: str, password: str, device_name: str, base_url: str) -> None:
        """With the address of the homeserver by hand, as its name has none in the DNS."""
        welcome = await self.screen.settle()
        await self.screen.click(*LOGIN_OF_WELCOME)
        form = await self.screen.settle(welcome)
        await self.screen.click(*MATRIX_ID)
        await self.screen.type(user_id)
        await self.screen.press("Tab")
        # It looks for .well-known in vain, and then shows one field more.
        await self.screen.settle(form)
        await self.screen.type(password)
        await self.screen.press("Tab")
        await self.screen.type(device_name)
        await self.screen.press("Tab", "ctrl+a")
        await self.screen.type(base_url)
        await self.screen.press("Tab")
        filled = await self.screen.settle()
        await self.screen.press("Return")
        await self.screen.settle(filled)

    async def skip_encryption(self) -> None:
        """Close the window that offers to set it up for a new account."""
        offer = await self.screen.settle()
        await self.screen.click(*SKIP_ENCRYPTION)
        await self.screen.settle(offer)

    async def open_first_room(self) -> None:
        """The one at the top of the list."""
        rooms = await self.screen.settle()
        await self.screen.click(*FIRST_ROOM)
        await self.screen.settle(rooms)

    async def say(self, text: str) -> None:
        """Into the room that is open."""
        await self.screen.click(*MESSAGE)
        await self.screen.type(text)
        await self.screen.press("Return")
        await self.screen.settle()


def _environment(home: Path) -> dict[str, str]:
    places = {f"XDG_{kind.upper()}_HOME": str(home / kind) for kind in ("config", "data", "cache")}
    return {
        **{name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "LC_ALL")},
        **places,
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(home),
        # Nobody is there: without this it would start a bus, and that a keyring with a window of its own.
        "DBUS_SESSION_BUS_ADDRESS": f"unix:path={home}/no-bus",
        "QT_QUICK_BACKEND": "software",
    }
