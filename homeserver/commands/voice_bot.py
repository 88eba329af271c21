"""`voice-bot`: a participant that plays a file into a voice channel, or records who talks there."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from homeserver.commands.errors import CommandError

HELP = "play a sound file into a voice channel, or record who talks there"


def add_arguments(parser: ArgumentParser) -> None:
    """Whose account, which room, what to do."""
    parser.add_argument("room", help="room id or alias of the voice channel")
    parser.add_argument("--homeserver", default="http://localhost:8008", metavar="URL")
    parser.add_argument(
        "--user", required=True, help="user name; its password is asked for (or VOICECHAT_BOT_PASSWORD)"
    )
    parser.add_argument("--play", metavar="FILE", type=Path, help="a WAV file (16 bit)")
    parser.add_argument("--loop", action="store_true", help="play it again and again")
    parser.add_argument("--tone", metavar="HERTZ", type=float, help="a tone instead of a file")
    parser.add_argument("--record", metavar="DIR", type=Path, help="a WAV file for each who talks")
    parser.add_argument(
        "--seconds", type=float, default=0, help="leave after so long (0: when the file ended, or by Ctrl-C)"
    )
    parser.add_argument("--unencrypted", action="store_true", help="for calls whose frames are not encrypted")


def run(arguments: Namespace) -> int:
    """Status 0 when it left by itself or was asked to."""
    if not (arguments.play or arguments.tone or arguments.record):
        raise CommandError("Please say what to do: --play FILE, --tone HERTZ or --record DIR.")
    # A variable, as the launcher's own tools never put secrets on a command line.
    password = os.environ.get("VOICECHAT_BOT_PASSWORD") or getpass.getpass(f"Password of {arguments.user}: ")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_call(arguments, password))
    return 0


async def _call(arguments: Namespace, password: str) -> None:
    import aiohttp

    from voice.bot.call import BotCall, NoCall
    from voice.bot.matrix import MatrixClient, Refused
    from voice.bot.sound import NotPlayable

    try:
        async with aiohttp.ClientSession() as http:
            client = MatrixClient(http, arguments.homeserver)
            await client.login(arguments.user, password)
            room_id = await client.join(arguments.room)
            recorder = _Recorder(arguments.record) if arguments.record else None
            call = BotCall(client, room_id, not arguments.unencrypted, recorder.hear if recorder else None)
            await call.enter()
            print(f"in the call of {room_id} as {client.user_id}", file=sys.stderr)
            try:
                await _perform(arguments, call)
            finally:
                await call.leave()
                if recorder:
                    recorder.close()
                await client.logout()
    except (Refused, NoCall, NotPlayable, aiohttp.ClientError) as error:
        raise CommandError(str(error)) from error


async def _perform(arguments: Namespace, call: object) -> None:
    from voice.bot.call import BotCall
    from voice.bot.sound import play_file, tone

    assert isinstance(call, BotCall)
    limit = arguments.seconds or None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit):
            if arguments.play:
                await call.play(play_file(arguments.play, loop=arguments.loop))
            elif arguments.tone:
                await call.play(tone(arguments.tone, arguments.seconds or 3600))
            if arguments.record:
                await asyncio.Event().wait()


class _Recorder:
    """One file for each who talks, named by his identity."""

    def __init__(self, directory: Path) -> None:
        from voice.bot.sound import Recording

        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._recordings: dict[str, Recording] = {}

    def hear(self, identity: str, samples: bytes) -> None:
        from voice.bot.sound import Recording

        if identity not in self._recordings:
            # Identities come from other people: only harmless characters become part of a file name.
            name = "".join(each if each.isalnum() and each.isascii() else "-" for each in identity)[:80]
            self._recordings[identity] = Recording(self._directory / f"{len(self._recordings) + 1}-{name}.wav")
        self._recordings[identity].add(samples)

    def close(self) -> None:
        for recording in self._recordings.values():
            recording.close()
