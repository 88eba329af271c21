"""`user add`: an account made by whoever runs the server, while it runs or not."""

from __future__ import annotations

import asyncio
import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from homeserver.commands.errors import CommandError
from homeserver.commands.options import add_server_options, settings_of

if TYPE_CHECKING:
    from config.settings import Settings
    from homeserver.services.registration.new_accounts import InSameTransaction
    from homeserver.storage.database import Queries

HELP = "make an account"


def add_arguments(parser: ArgumentParser) -> None:
    """`add NAME`."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="add")
    add = verbs.add_parser("add", help="make an account")
    add.add_argument("name", metavar="NAME", help="the part before the colon of the new user id")
    add.add_argument("--admin", action="store_true", help="may use the administration of the server")
    add.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    add_server_options(add)


def run(arguments: Namespace) -> int:
    """Make it and say its id."""
    settings = settings_of(arguments)
    password = _password(from_stdin=arguments.password_stdin)
    user_id = asyncio.run(add_user(settings, arguments.name, password, admin=arguments.admin))
    print(f"{user_id} has been made{' and is an administrator' if arguments.admin else ''}.")
    return 0


async def add_user(settings: Settings, name: str, password: str, *, admin: bool) -> str:
    """The id of the new account. Raises CommandError."""
    from homeserver.commands.databases import shared_database
    from homeserver.commands.life_of_server import claim_name
    from homeserver.protocol.errors import MatrixError
    from homeserver.services.accounts.passwords import PasswordHasher, PasswordPolicy
    from homeserver.services.clock import SystemClock
    from homeserver.services.registration.new_accounts import NewAccounts
    from homeserver.services.registration.usernames import Usernames
    from homeserver.storage.database import Database
    from homeserver.storage.users import Users

    hasher = PasswordHasher(settings.passwords.hash_cost)
    policy = PasswordPolicy(settings.passwords.minimum_length, settings.passwords.minimum_kinds)
    async with shared_database(settings) as dsn:
        database = Database(dsn)
        try:
            await claim_name(database, settings.server_name)
            policy.check(password)
            usernames = Usernames(settings.server_name)
            accounts = NewAccounts(database, Users(), hasher, policy, usernames, SystemClock())
            return await accounts.create_account(name, password, admin=admin, then=[_recorded(settings, admin)])
        except MatrixError as error:
            raise CommandError(f"The account could not be made: {error.message.rstrip('.')}.") from error
        finally:
            await database.close()
            hasher.close()


def _recorded(settings: Settings, admin: bool) -> InSameTransaction:
    """The entry of the audit log."""
    from homeserver.services.audit.audit_log import CLI, AuditLog
    from homeserver.services.clock import SystemClock
    from homeserver.storage.audit import AuditRows

    async def record(tx: Queries, user_id: str) -> None:
        audit = AuditLog(tx, AuditRows(), SystemClock(), settings.audit.keep_ms)
        await audit.record_as(tx, CLI, "user.create", user_id, {"admin": admin})

    return record


def _password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise CommandError("There is no terminal to ask for the password; give it with --password-stdin.")
    from getpass import getpass

    password = getpass("Password: ")
    if getpass("The same again: ") != password:
        raise CommandError("The two passwords are not the same.")
    return password
