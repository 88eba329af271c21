"""Argon2id off the event loop, and what a new password has to be.

Parameters from DESIGN decision 11 (m = 19 MiB, t = 2, p = 1): about 20 ms and 19 MiB for each running hash, so at most
two run at once and a limited number waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from argon2 import PasswordHasher as Argon2
from argon2.exceptions import InvalidHashError, VerificationError

from homeserver.protocol import errors
from homeserver.services.text_limits import MAX_PASSWORD_BYTES

T = TypeVar("T")
HashCost = Literal["default", "minimum"]
IsBreached = Callable[[str], Awaitable[bool]]

MAX_AT_ONCE = 2
MAX_WAITING = 200


@dataclass(frozen=True, slots=True)
class PasswordPolicy:
    """Rules for new passwords; old ones stay valid."""

    minimum_characters: int = 8
    minimum_kinds: int = 1
    """Of small letters, capitals, digits, and everything else."""
    breached: list[IsBreached] = field(default_factory=list)
    """Lists of passwords that others have lost (breached.py)."""

    async def check_new(self, password: str, user_id: str | None = None) -> None:
        """Of somebody who chooses it for himself. `user_id`: as far as it is known. Raises WeakPassword, InvalidParam."""
        self.check(password)
        if user_id is not None and password.casefold() in (user_id, user_id[1:].partition(":")[0]):
            raise errors.WeakPassword("A password is something else than the user name")
        for is_breached in self.breached:
            if await is_breached(password):
                raise errors.WeakPassword("This password is on lists of stolen ones: choose another one")

    def check(self, password: str) -> None:
        """What can be told from the password alone. Raises WeakPassword, or InvalidParam for what no hash should read."""
        check_password_size(password)
        if len(password) < self.minimum_characters:
            raise errors.WeakPassword(f"A password has at least {self.minimum_characters} characters")
        if _kinds(password) < self.minimum_kinds:
            raise errors.WeakPassword(
                f"A password has at least {self.minimum_kinds} of these: small letters, capitals, digits, other characters"
            )


def _kinds(password: str) -> int:
    others = any(not each.isalnum() for each in password)
    tests = (str.islower, str.isupper, str.isdigit)
    return others + sum(any(map(test, password)) for test in tests)


def check_password_size(password: str) -> None:
    """Raises InvalidParam where the password is too long or not text."""
    try:
        size = len(password.encode())
    except UnicodeEncodeError:
        raise errors.InvalidParam("The password is not valid text") from None
    if size > MAX_PASSWORD_BYTES:
        raise errors.InvalidParam(f"A password has at most {MAX_PASSWORD_BYTES} bytes")


class PasswordHasher:
    """Hashes and verifies in threads; `minimum` cost is for tests only."""

    __slots__ = ("_argon2", "_pool", "_waiting", "_wrong_hash")

    def __init__(self, cost: HashCost = "default") -> None:
        if cost == "minimum":
            self._argon2 = Argon2(time_cost=1, memory_cost=8, parallelism=1)
        else:
            self._argon2 = Argon2(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._pool = ThreadPoolExecutor(MAX_AT_ONCE, thread_name_prefix="argon2")
        self._waiting = 0
        self._wrong_hash: str | None = None

    async def hash(self, password: str) -> str:
        """PHC string of the password with a new salt."""
        return await self._run(lambda: self._argon2.hash(password))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether the password fits. Without a hash (no such account) the same work is done for the answer no."""
        if password_hash is None:
            if self._wrong_hash is None:
                self._wrong_hash = await self.hash("nobody has this password")
            await self._run(lambda: self._fits(self._wrong_hash or "", password))
            return False
        return await self._run(lambda: self._fits(password_hash, password))

    def needs_rehash(self, password_hash: str) -> bool:
        """Whether it was made with other parameters than those of today."""
        return self._argon2.check_needs_rehash(password_hash)

    def _fits(self, password_hash: str, password: str) -> bool:
        try:
            return self._argon2.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= MAX_WAITING:
            raise errors.LimitExceeded("Too many people are signing in right now", retry_after_ms=2000)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Let the threads go."""
        self._pool.shutdown(wait=False, cancel_futures=True)
