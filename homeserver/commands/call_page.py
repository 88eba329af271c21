"""`call-page`: fetches the page that opens a call in a browser (Element Call and matrix-js-sdk, by npm)."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from homeserver.commands.errors import CommandError
from homeserver.commands.options import add_server_options, settings_of

HELP = "install or remove the page that opens a call in a browser"


def add_arguments(parser: ArgumentParser) -> None:
    """What to do, and for which server."""
    parser.add_argument("action", choices=("install", "remove"))
    add_server_options(parser)


def run(arguments: Namespace) -> int:
    """The server looks at its files when it starts: it says so."""
    import shutil

    from homeserver.composition.call_page import call_page_directory
    from homeserver.http.voice.call_page import ROOT
    from voice.call_page.install import CannotInstall, install

    directory = call_page_directory(settings_of(arguments))
    if arguments.action == "remove":
        shutil.rmtree(directory, ignore_errors=True)
        print("The page is gone; restart the server.")
        return 0
    directory.parent.mkdir(parents=True, exist_ok=True)
    try:
        install(directory)
    except CannotInstall as error:
        raise CommandError(str(error)) from error
    print(f"The page is installed; restart the server, then open {ROOT}/#/<room id or alias>.")
    return 0
