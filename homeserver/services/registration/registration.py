"""Registration by anybody: POST /register of the client-server API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from homeserver.protocol import errors
from homeserver.services.registration.form import CheckedForm, RegistrationForm, merged
from homeserver.services.registration.new_accounts import NewAccounts
from homeserver.services.registration.terms import TERMS, Terms
from homeserver.services.sessions.authenticator import Authenticator
from homeserver.services.sessions.sessions import OpenedSession, Sessions, SessionWish
from homeserver.services.text_limits import check_device_id, check_device_name
from homeserver.services.threepids.addresses import Addresses
from homeserver.services.threepids.stage import EMAIL_IDENTITY
from homeserver.services.ui_auth.stages import DUMMY, RECAPTCHA, REGISTRATION_TOKEN
from homeserver.services.ui_auth.ui_auth import Flows, Proved, UiAuth
from homeserver.storage.registration_tokens import RegistrationTokens

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.storage.database import Database, Queries

OPERATION = "POST /register"
GUEST_PREFIX = "guest-"


@dataclass(frozen=True, slots=True)
class RegistrationRules:
    """Who may register, from the settings."""

    enabled: bool
    guests: bool
    token_required: bool
    captcha_required: bool = False
    captcha_possible: bool = False
    """A captcha may be solved even where no flow asks for one."""
    terms_required: bool = False
    email_required: bool = False
    email_possible: bool = False

    @property
    def flows(self) -> Flows:
        """Everything that is required, or the dummy stage where nothing is; the same with an address, where one may be given."""
        stages = [RECAPTCHA] * self.captcha_required + [REGISTRATION_TOKEN] * self.token_required
        stages += [TERMS] * self.terms_required
        if self.email_required:
            return [[*stages, EMAIL_IDENTITY]]
        return [stages or [DUMMY], *([[*stages, EMAIL_IDENTITY]] if self.email_possible else [])]

    @property
    def extra_stages(self) -> list[str]:
        return [RECAPTCHA] if self.captcha_possible else []


@dataclass(frozen=True, slots=True)
class Registered:
    """A new account; no session where the client wanted none."""

    user_id: str
    session: OpenedSession | None


@dataclass(frozen=True, slots=True)
class Registration:
    """Verbs for people who have no account yet."""

    database: Database
    rules: RegistrationRules
    accounts: NewAccounts
    sessions: Sessions
    authenticator: Authenticator
    ui_auth: UiAuth
    tokens: RegistrationTokens
    addresses: Addresses
    terms: Terms
    clock: Clock

    async def check_available(self, username: str) -> None:
        """Raises InvalidUsername, Exclusive, UserInUse; Forbidden where nobody may register."""
        self.check_enabled()
        await self.accounts.check_available(self.accounts.usernames.check_new(username))

    def check_enabled(self) -> None:
        """Raises Forbidden where nobody may register."""
        if not self.rules.enabled:
            raise errors.Forbidden("Registration is not open on this server")

    async def register(
        self, form: RegistrationForm, auth: Mapping[str, Any] | None, *, ip: str = "", user_agent: str = ""
    ) -> Registered:
        """Make an account once the authentication is complete.

        What an unfinished request said is remembered with its session: later ones need not say it again. The session of
        a finished registration stays for a while, so that a client that did not get the answer can ask once more.

        Raises UserInteractiveAuthRequired, what `check_available` raises, WeakPassword, MissingParam, InvalidParam.
        """
        self.check_enabled()
        remembered = await self._remembered(auth)
        said = await self._check(form, is_repeated=remembered.registered is not None)
        try:
            proved = await self.ui_auth.check(
                auth, None, OPERATION, self.rules.flows, extra_stages=self.rules.extra_stages, ip=ip, keep=True
            )
        except errors.UserInteractiveAuthRequired as required:
            await self._remember(required.data["session"], remembered, await self._with_hash(said, form.password))
            raise
        remembered = CheckedForm.from_memory(proved.memory)
        if remembered.registered is not None:
            return await self._answer_again(merged(remembered, said), ip, user_agent)
        form_now = merged(remembered, await self._with_hash(said, form.password))
        return await self._make(form_now, proved, ip, user_agent)

    async def _remembered(self, auth: Mapping[str, Any] | None) -> CheckedForm:
        session_id = (auth or {}).get("session")
        session = await self.ui_auth.peek(session_id) if isinstance(session_id, str) else None
        if session is None or session.operation.strip() != OPERATION:
            return CheckedForm()
        return CheckedForm.from_memory(session.memory)

    async def _check(self, form: RegistrationForm, *, is_repeated: bool) -> CheckedForm:
        """Everything that can be refused before anybody proves anything."""
        if form.device_id is not None:
            check_device_id(form.device_id)
        check_device_name(form.device_name)
        checked = CheckedForm(
            device_id=form.device_id,
            device_name=form.device_name,
            can_refresh=form.can_refresh,
            inhibit_login=form.inhibit_login,
        )
        if is_repeated:
            return checked
        if form.password is not None:
            own_id = None if form.username is None else self.accounts.usernames.user_id(form.username)
            await self.accounts.policy.check_new(form.password, own_id)
        if form.guest_access_token is not None:
            guest_id = await self._guest(form.guest_access_token, form.username)
            return replace(checked, user_id=guest_id, guest_id=guest_id)
        if form.username is None:
            return checked
        user_id = self.accounts.usernames.check_new(form.username)
        await self.accounts.check_available(user_id)
        return replace(checked, user_id=user_id)

    async def _guest(self, token: str, username: str | None) -> str:
        """ "They are also required to specify the `username` parameter to the value of the local part of their username." """
        try:
            guest = await self.authenticator.authenticate(token)
        except errors.UnknownToken:
            raise errors.Forbidden("'guest_access_token' is not known") from None
        if guest.is_locked:
            raise errors.UserLocked
        if username is None:
            raise errors.MissingParam("A guest keeps his user name and has to say it")
        if not guest.is_guest or self.accounts.usernames.user_id(username) != guest.user_id:
            raise errors.Forbidden("'guest_access_token' is not that of a guest with this user name")
        return guest.user_id

    async def _with_hash(self, said: CheckedForm, password: str | None) -> CheckedForm:
        if password is None:
            return said
        return replace(said, password_hash=await self.accounts.hasher.hash(password))

    async def _remember(self, session_id: str, remembered: CheckedForm, said: CheckedForm) -> None:
        if said.said():
            await self.ui_auth.remember(self.database, session_id, merged(remembered, said).said())

    async def _make(self, form: CheckedForm, proved: Proved, ip: str, user_agent: str) -> Registered:
        if form.password_hash is None:
            raise errors.MissingParam("Missing 'password'")
        user_id = form.user_id or self.accounts.generated_user_id()
        session = None
        async with self.database.transaction() as tx:
            await self._use_up(tx, proved, replace(form, password_hash=None, registered=user_id))
            if form.guest_id is not None:
                await self.accounts.upgrade_guest(tx, user_id, form.password_hash)
            else:
                await self.accounts.add(tx, user_id, form.password_hash)
            if EMAIL_IDENTITY in proved.completed:
                await self.addresses.claim(tx, user_id, proved.completed[EMAIL_IDENTITY])
            if TERMS in proved.completed:
                await self.terms.note(tx, user_id, proved.completed[TERMS])
            if not form.inhibit_login:
                session = await self.sessions.open(tx, user_id, form.session_wish(ip, user_agent))
        self.authenticator.forget(session.revoked if session else ())
        if form.guest_id is not None:
            self.authenticator.forget_user(user_id)
        return Registered(user_id, session)

    async def _use_up(self, tx: Queries, proved: Proved, form: CheckedForm) -> None:
        """What was proved makes one account only. Raises Forbidden where somebody else was faster."""
        if proved.session_id is not None:
            memory = await self.ui_auth.lock_memory(tx, proved.session_id)
            if memory is None or "registered" in memory:
                raise errors.Forbidden("This authentication session has been used")
            await self.ui_auth.remember(tx, proved.session_id, form.said())
        token = proved.completed.get(REGISTRATION_TOKEN)
        if token is not None and not await self.tokens.use(tx, token, self.clock.now_ms()):
            raise errors.Forbidden("This registration token is not valid any more")

    async def _answer_again(self, form: CheckedForm, ip: str, user_agent: str) -> Registered:
        assert form.registered is not None
        if form.inhibit_login:
            return Registered(form.registered, None)
        session = await self.sessions.log_in(form.registered, form.session_wish(ip, user_agent))
        return Registered(form.registered, session)

    async def register_guest(self, device_name: str | None, *, ip: str = "", user_agent: str = "") -> Registered:
        """An account without a password. Raises Forbidden where the server takes no guests.

        "All request parameters except `initial_device_display_name` MUST be ignored."
        """
        self.check_enabled()
        if not self.rules.guests:
            raise errors.Forbidden("This server does not take guests")
        wish = SessionWish(device_name=device_name, ip=ip, user_agent=user_agent)
        user_id = self.accounts.generated_user_id(GUEST_PREFIX)
        async with self.database.transaction() as tx:
            await self.accounts.add(tx, user_id, None, is_guest=True)
            session = await self.sessions.open(tx, user_id, wish)
        return Registered(user_id, session)
