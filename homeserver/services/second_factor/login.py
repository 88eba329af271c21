"""The second factor as a step of POST /login, in the same request as the password."""

from __future__ import annotations

from dataclasses import dataclass

from homeserver.protocol import errors
from homeserver.services.second_factor.codes import split_password
from homeserver.services.second_factor.second_factor import STAGE, SecondFactor
from homeserver.services.ui_auth.ui_auth import PASSWORD

NEEDED = (
    "A code of your authenticator app is needed too. In an app that does not ask for it, write it behind the password, \
with a space between."
)


@dataclass(frozen=True, slots=True)
class LoginFactor:
    """`page_url`: where people set up a second factor."""

    factor: SecondFactor
    page_url: str

    async def split(self, user_id: str | None, password: str, code: str | None) -> tuple[str, str | None]:
        """The password and the code, for clients that can only send both as one.

        A code of its own leaves the password whole, and so does an account without a second factor: its password may well
        end like that.
        """
        # Looked up for names that nobody has too: the same work.
        is_required = await self.factor.is_required(user_id or "")
        return split_password(password) if is_required and code is None else (password, code)

    async def check(self, user_id: str, code: str | None) -> None:
        """After the password was right.

        Raises Forbidden for a wrong code and where the account has to have a second factor, but has none; 401 with the flow
        of user-interactive authentication where a code is missing; LimitExceeded.
        """
        if await self.factor.is_required(user_id):
            if code is None:
                raise _missing()
            await self.factor.check(user_id, code)
        elif await self.factor.must_enrol(user_id):
            raise errors.MatrixError(
                "M_FORBIDDEN",
                403,
                f"This server wants a second factor of your account: set it up at {self.page_url}",
                {"org.voicechat.second_factor_page": self.page_url},
            )


def _missing() -> errors.MatrixError:
    """As in user-interactive authentication, without a session: the client sends the password again, with `auth`."""
    flows = [{"stages": [PASSWORD, STAGE]}]
    data = {"flows": flows, "completed": [PASSWORD], "params": {}}
    return errors.MatrixError("M_UNAUTHORIZED", 401, NEEDED, data)
