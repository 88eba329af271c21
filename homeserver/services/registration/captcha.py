"""Ask the captcha's server whether an answer is right. The protocol is that of Google's reCAPTCHA, others speak it too."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from homeserver.protocol import errors

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 10
MAX_ANSWER_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class CaptchaVerifier:
    """Captchas are rare, so each one has a connection of its own."""

    siteverify_url: str
    private_key: str
    verify_tls: bool = True

    async def verify(self, response: str, ip: str) -> bool:
        """Whether somebody at this address solved it. Raises Unavailable where nobody can tell."""
        form = {"secret": self.private_key, "response": response, "remoteip": ip}
        try:
            answer = orjson.loads(await self._post(form))
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            log.warning("the captcha's server gave no useful answer: %s", type(error).__name__)
            raise errors.Unavailable("The captcha cannot be checked right now") from error
        return isinstance(answer, dict) and answer.get("success") is True

    async def _post(self, form: dict[str, Any]) -> bytes:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(self.siteverify_url, data=form, ssl=self.verify_tls, allow_redirects=False) as answer,
        ):
            return await answer.content.read(MAX_ANSWER_BYTES)
