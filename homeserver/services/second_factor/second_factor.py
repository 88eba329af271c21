"""The second factor of an account: who has one, who must, and whether a code is right."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from homeserver.protocol import errors
from homeserver.services.audit.audit_log import AuditLog
from homeserver.services.second_factor import codes
from homeserver.storage.second_factors import SecondFactorRows, StoredTotp
from homeserver.storage.users import Users

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.services.requester import Requester
    from homeserver.storage.database import Database, Queries

Whose = Literal["nobody", "admins", "everybody"]

STAGE: Final = "org.voicechat.totp"
WRONG: Final = "This code is not right (any more)"
SECOND_MS: Final = 1000
OFFERED_MS: Final = 30 * 60 * SECOND_MS
# Three of a million codes are right at any time. Whoever knows the password has five guesses, then seven in the first
# hour and one in each hour after that.
FREE_FAILURES: Final = 5
FIRST_BLOCK_MS: Final = 15 * SECOND_MS
LONGEST_BLOCK_MS: Final = 60 * 60 * SECOND_MS


@dataclass(frozen=True, slots=True)
class Status:
    """Of one account. `recovery_codes`: how many are left. `is_required`: it cannot be taken away."""

    enrolled_ms: int | None
    recovery_codes: int
    is_required: bool


@dataclass(frozen=True, slots=True)
class Offer:
    """What an authenticator app has to be told. This is the only moment at which it is shown."""

    secret: str = field(repr=False)
    uri: str = field(repr=False)

    @property
    def qr_svg(self) -> str:
        return codes.qr_svg(self.uri)


@dataclass(frozen=True, slots=True)
class SecondFactor:
    """Verbs over second factors. `required_of`: who cannot sign in with a password alone."""

    database: Database
    rows: SecondFactorRows
    users: Users
    clock: Clock
    audit: AuditLog
    issuer: str
    """How apps call this server."""
    required_of: Whose = "nobody"
    name: str = "totp"
    """Among the methods with which somebody has signed in."""

    async def is_required(self, user_id: str) -> bool:
        """Whether a password alone is not enough for this account, which has a second factor."""
        return await self.rows.is_enrolled(self.database, user_id)

    async def stages(self, user_id: str) -> tuple[str, ...]:
        """What user-interactive authentication asks for beside the password."""
        return (STAGE,) if await self.is_required(user_id) else ()

    async def must_enrol(self, user_id: str) -> bool:
        """Whether the account has none, but has to."""
        return await self._is_demanded(user_id) and not await self.is_required(user_id)

    async def _is_demanded(self, user_id: str) -> bool:
        if self.required_of != "admins":
            return self.required_of == "everybody"
        user = await self.users.get(self.database, user_id)
        return user is not None and user.is_admin

    async def status(self, user_id: str) -> Status:
        """For the user himself."""
        found = await self.rows.status(self.database, user_id)
        enrolled_ms, left = found if found is not None else (None, 0)
        return Status(enrolled_ms, left, await self._is_demanded(user_id))

    async def check(self, user_id: str, code: str) -> None:
        """Use up a code of the app, or a recovery code.

        Raises Forbidden where it is wrong or was used before, LimitExceeded after too many wrong ones.
        """
        async with self.database.transaction() as tx:
            row = await self.rows.lock(tx, user_id)
            is_right = row is not None and await self._try(tx, user_id, row, code)
        if not is_right:
            raise errors.Forbidden(WRONG)

    async def _try(self, tx: Queries, user_id: str, row: StoredTotp, code: str) -> bool:
        now_ms = self.clock.now_ms()
        if row.blocked_until_ms > now_ms:
            raise errors.LimitExceeded("Too many wrong codes", retry_after_ms=row.blocked_until_ms - now_ms)
        step = await self._use(tx, user_id, row, code[: codes.MAX_CODE_CHARACTERS], now_ms)
        if step is not None:
            await self.rows.used(tx, user_id, step)
            return True
        failures = row.failures + 1
        await self.rows.failed(tx, user_id, failures, now_ms + _block_ms(failures))
        return False

    async def _use(self, tx: Queries, user_id: str, row: StoredTotp, text: str, now_ms: int) -> int | None:
        """The step of a right code, 0 for a recovery code; None where it is wrong, or a replay."""
        if row.secret is None:
            return None
        code = codes.app_code(text)
        if code is not None:
            step = codes.step_of(row.secret, code, now_ms)
            # "The verifier MUST NOT accept the second attempt of the OTP" (RFC 6238 section 5.2).
            return step if step is not None and step > row.last_step else None
        code_hash = codes.recovery_hash(user_id, text)
        if code_hash is None or not await self.rows.use_recovery_code(tx, user_id, code_hash):
            return None
        await self._record(tx, user_id, user_id, "second_factor.recovery_code_used")
        return 0

    async def offer(self, user_id: str) -> Offer:
        """A new secret. One that is in use stays so until `enrol`."""
        secret = codes.new_secret()
        await self.rows.offer(self.database, user_id, secret, self.clock.now_ms() + OFFERED_MS)
        return Offer(secret, codes.app_uri(secret, user_id, self.issuer))

    async def offered(self, user_id: str) -> Offer | None:
        """The one that is being shown, where somebody looks again."""
        async with self.database.transaction() as tx:
            row = await self.rows.lock(tx, user_id)
        if row is None or row.new_secret is None or (row.new_expires_ms or 0) <= self.clock.now_ms():
            return None
        return Offer(row.new_secret, codes.app_uri(row.new_secret, user_id, self.issuer))

    async def enrol(self, user_id: str, code: str, address: str) -> list[str]:
        """The app has the secret: here is a code. Returns the recovery codes, which are known at this moment only.

        Raises Forbidden where the code is wrong, NotFound where nothing has been offered lately.
        """
        now_ms, recovery = self.clock.now_ms(), codes.new_recovery_codes()
        async with self.database.transaction() as tx:
            row = await self.rows.lock(tx, user_id)
            if row is None or row.new_secret is None or (row.new_expires_ms or 0) <= now_ms:
                raise errors.NotFound("That took too long: begin again")
            typed = codes.app_code(code)
            step = None if typed is None else codes.step_of(row.new_secret, typed, now_ms)
            if step is None:
                raise errors.Forbidden("This code is not right: look whether the clock of your phone is")
            await self.rows.enrol(tx, user_id, step, now_ms)
            await self._keep(tx, user_id, recovery)
            await self._record(tx, user_id, user_id, "second_factor.enrol", address=address)
        return recovery

    async def new_recovery_codes(self, user_id: str, address: str) -> list[str]:
        """Ten others. Raises NotFound where the account has no second factor."""
        recovery = codes.new_recovery_codes()
        async with self.database.transaction() as tx:
            row = await self.rows.lock(tx, user_id)
            if row is None or row.secret is None:
                raise errors.NotFound("This account has no second factor")
            await self._keep(tx, user_id, recovery)
            await self._record(tx, user_id, user_id, "second_factor.new_recovery_codes", address=address)
        return recovery

    async def _keep(self, tx: Queries, user_id: str, recovery: list[str]) -> None:
        hashes = [codes.recovery_hash(user_id, code) for code in recovery]
        await self.rows.replace_recovery_codes(tx, user_id, [each for each in hashes if each is not None])

    async def remove(self, user_id: str, address: str) -> None:
        """The password alone again. Raises Forbidden where the server wants more, NotFound where there is none."""
        if await self._is_demanded(user_id):
            raise errors.Forbidden("This server wants a second factor of your account")
        async with self.database.transaction() as tx:
            if not await self.rows.remove(tx, user_id):
                raise errors.NotFound("This account has no second factor")
            await self._record(tx, user_id, user_id, "second_factor.remove", address=address)

    async def reset(self, requester: Requester, user_id: str) -> None:
        """An administrator, for who has lost his app and his recovery codes. Raises NotFound where there is none."""
        async with self.database.transaction() as tx:
            if not await self.rows.remove(tx, user_id):
                raise errors.NotFound("This account has no second factor")
            await self.audit.record(tx, requester, "second_factor.reset", user_id)

    async def user_deactivated(self, user_id: str, erase: bool) -> None:
        """Hook of services/accounts."""
        await self.rows.remove(self.database, user_id)

    async def _record(self, tx: Queries, who: str, target: str, action: str, *, address: str = "") -> None:
        await self.audit.record_as(tx, who, action, target, address=address)


def _block_ms(failures: int) -> int:
    """Until the next one is looked at; twice as long after each."""
    excess = failures - FREE_FAILURES
    return 0 if excess < 0 else min(FIRST_BLOCK_MS << min(excess, 20), LONGEST_BLOCK_MS)
