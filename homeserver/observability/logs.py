"""The log: where it goes, what a line looks like, and the one line that every request gets.

2026-11-24T23:01:02.123Z INFO  requests 3fa2c1-1a PUT /_matrix/client/v3/rooms/!a/send/m.room.message/1 200 3.2ms …
"""

from __future__ import annotations

import logging
import logging.handlers
import re
import sys
import time

from config.settings import LogSettings
from homeserver.http.observer import UNROUTED, Finished

requests_log = logging.getLogger("requests")

_MAX_PATH = 300
# Parameters of declared paths whose value lets its holder do something.
_SECRET_PARAMETER = re.compile(r"\{[^}]*(token|secret|nonce|code|password|delay_id|meeting_id)[^}]*\}", re.IGNORECASE)
# Libraries that tell every detail of their work at INFO.
_TALKATIVE = ("asyncio", "PIL")


class LineFormatter(logging.Formatter):
    """One event one line, times in UTC; whatever a text contains, it cannot start a line of its own."""

    default_msec_format = "%s.%03dZ"
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name it has in logging
        """Line breaks inside of the message are shown, not obeyed; tracebacks keep theirs."""
        return super().formatMessage(record).replace("\n", "\\n").replace("\r", "\\r")


def configure_logs(settings: LogSettings) -> None:
    """Send everything that is logged where the settings say. Raises OSError where that file cannot be written."""
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    handler = _handler(settings.to)
    handler.setFormatter(LineFormatter())
    root.addHandler(handler)
    root.setLevel(settings.level)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    # What our lines do not show need not be found out for each of them.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def _handler(to: str) -> logging.Handler:
    if to in ("stdout", "stderr"):
        return logging.StreamHandler(sys.stdout if to == "stdout" else sys.stderr)
    # Opens the file anew when logrotate has moved it away.
    return logging.handlers.WatchedFileHandler(to, encoding="utf-8")


class RequestLog:
    """Writes the line of a request. Health checks of load balancers only where somebody debugs."""

    __slots__ = ()

    def request_finished(self, finished: Finished) -> None:
        """See `Observer`."""
        level = logging.DEBUG if finished.endpoint in ("/health", "/metrics") else logging.INFO
        if requests_log.isEnabledFor(level):
            requests_log.log(level, "%s", line_of(finished))


def line_of(finished: Finished) -> str:
    """Id, method, path without query, status, error, duration, who, from where, size, and the endpoint's name."""
    error = f" {finished.errcode}" if finished.errcode else ""
    return (
        f"{finished.request_id} {finished.method} {_shown_path(finished)} {finished.status}{error} "
        f"{finished.duration_ms:.1f}ms {finished.user_id or '-'} {finished.remote_address or '-'} "
        f"{finished.response_bytes}B {finished.endpoint}"
    )


def _shown_path(finished: Finished) -> str:
    if finished.endpoint != UNROUTED and _SECRET_PARAMETER.search(finished.endpoint):
        return finished.endpoint
    path = finished.raw_path
    return path if len(path) <= _MAX_PATH else f"{path[:_MAX_PATH]}…"
