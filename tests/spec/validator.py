"""Holds a response against the OpenAPI definition of its operation.

problems = check(method, path, status, headers, body)      # an empty list: all is well
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError

OPENAPI = Path(__file__).parent / "openapi"
SERVED_APIS = ("client-server", "server-server")

# What we serve under older names is what the spec has under the newest.
_ALIASES = (
    (re.compile(r"^/_matrix/client/r0/"), "/_matrix/client/v3/"),
    (re.compile(r"^/_matrix/media/(r0|v1)/"), "/_matrix/media/v3/"),
)
# Client-server API, "Common error codes": "can be returned by any API endpoint", so these need not be documented.
_COMMON_ERRORS = {400, 401, 403, 404, 405, 409, 413, 429, 500, 502, 503, 504}
# Where the schema says less than the prose, and clients live by what servers have always answered.
_UNCHECKED = {
    # "This will stream new events as they come in": typing, receipts and presence too, which have no id and no sender.
    ("GET", "/_matrix/client/v3/events"),
}
# Schemas that are narrower than what they describe, and which keywords of theirs are read differently (None: not at all).
_KEYWORDS: Mapping[str, Mapping[str, str | None]] = {
    # MSC3026: busy.
    "GET /_matrix/client/v3/presence/{userId}/status": {"enum": None},
    # "One of" names the algorithms of today; others are an extension that the prose allows.
    "GET /_matrix/client/v3/room_keys/version": {"enum": None},
    "GET /_matrix/client/v3/room_keys/version/{version}": {"enum": None},
    # An event is also an object, so ?format=event always fits both.
    "GET /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}": {"oneOf": "anyOf"},
}
# data/string-formats.yaml of the specification; those without a pattern there are checked here in spirit.
_FORMATS = {
    "mx-user-id": r"^@[^:]*:.+",
    "mx-event-id": r"^\$.+",
    "mx-room-id": r"^!.+",
    "mx-room-alias": r"^#[^:]*:.+",
    "mx-server-name": r"^[0-9A-Za-z.:\[\]-]+$",
    "mx-mxc-uri": r"^mxc://|^$",
    "mx-unpadded-base64": r"^[A-Za-z0-9+/]*$",
    "mx-urlsafe-unpadded-base64": r"^[A-Za-z0-9_-]*$",
    "uri": r"^[A-Za-z][A-Za-z0-9+.-]*:",
    "email": r"^[^@\s]+@[^@\s]+$",
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path of one API."""

    api: str
    method: str
    path: str
    definition: Mapping[str, Any]

    @property
    def key(self) -> str:
        """As it is called in spec_coverage.toml."""
        return f"{self.method} {self.path}"

    @property
    def segments(self) -> list[str]:
        return self.path.split("/")


@functools.cache
def operations() -> tuple[Operation, ...]:
    """Every operation a homeserver serves."""
    return tuple(_read_operations())


def _read_operations() -> Iterator[Operation]:
    for api in SERVED_APIS:
        paths = json.loads((OPENAPI / f"{api}.json").read_bytes())["paths"]
        for path, methods in paths.items():
            for method, definition in methods.items():
                if method in ("get", "put", "post", "delete"):
                    yield Operation(api, method.upper(), path, definition)


@functools.cache
def _by_shape() -> dict[tuple[str, int], list[Operation]]:
    found: dict[tuple[str, int], list[Operation]] = {}
    for operation in operations():
        found.setdefault((operation.method, len(operation.segments)), []).append(operation)
    return found


@functools.lru_cache(maxsize=10_000)
def find(method: str, path: str) -> Operation | None:
    """The operation for a path as sent, without its query. `None` where the spec has none (ours, or unstable)."""
    for pattern, newest in _ALIASES:
        path = pattern.sub(newest, path)
    method = "GET" if method == "HEAD" else method
    # The spec has /state/{eventType}/{stateKey} only, and lets the last slash go when the key is empty.
    return _match(method, path) or _match(method, path + "/")


def _match(method: str, path: str) -> Operation | None:
    segments = path.split("/")
    fitting = [
        operation
        for operation in _by_shape().get((method, len(segments)), ())
        if all(want == have or want.startswith("{") for want, have in zip(operation.segments, segments, strict=True))
    ]
    return max(fitting, key=lambda operation: -operation.path.count("{"), default=None)


def check(method: str, path: str, status: int, headers: Mapping[str, str], body: bytes) -> list[str]:
    """What is wrong with a response, in sentences."""
    problems = list(_check_headers(headers))
    if method in ("OPTIONS", "HEAD"):
        return problems
    operation = find(method, path)
    if status >= 400:
        return [*problems, *_check_error(operation, status, headers, body)]
    if operation is None:
        return problems
    responses = operation.definition["responses"]
    if str(status) not in responses:
        return [*problems, f"status {status} is not documented, only {', '.join(responses)}"]
    return [*problems, *_check_content(operation, status, headers, body)]


def _check_headers(headers: Mapping[str, str]) -> Iterator[str]:
    if headers.get("Access-Control-Allow-Origin") != "*":
        yield "Access-Control-Allow-Origin is missing"


def _check_error(operation: Operation | None, status: int, headers: Mapping[str, str], body: bytes) -> Iterator[str]:
    try:
        answer = json.loads(body)
    except ValueError:
        yield f"error {status} is not JSON: {body[:200]!r}"
        return
    is_flows = status == 401 and isinstance(answer, dict) and "flows" in answer
    if not is_flows:
        for key in ("errcode", "error"):
            if not isinstance(answer, dict) or not isinstance(answer.get(key), str):
                yield f"error {status} has no '{key}': {body[:200]!r}"
    if "Traceback" in body.decode(errors="replace"):
        yield "the answer shows a traceback"
    documented = operation is not None and str(status) in operation.definition["responses"]
    if documented and operation is not None and (is_flows or status != 401):
        yield from _check_content(operation, status, headers, body)
    elif status not in _COMMON_ERRORS:
        yield f"status {status} is not documented"


def _check_content(operation: Operation, status: int, headers: Mapping[str, str], body: bytes) -> Iterator[str]:
    if (operation.method, operation.path) in _UNCHECKED and status == 200:
        return
    content = operation.definition["responses"][str(status)].get("content", {})
    if "application/json" not in content:
        return
    content_type = headers.get("Content-Type", "")
    if not content_type.startswith("application/json"):
        yield f"Content-Type is {content_type!r} instead of application/json"
        return
    schema = _schema(operation.api, operation.method, operation.path, status)
    if schema is None:
        return
    for error in schema.iter_errors(json.loads(body)):
        yield f"{operation.key} {status}: {_explain(error)}"


@functools.cache
def _schema(api: str, method: str, path: str, status: int) -> Draft202012Validator | None:
    operation = next(each for each in operations() if (each.api, each.method, each.path) == (api, method, path))
    schema = operation.definition["responses"][str(status)]["content"]["application/json"].get("schema")
    if schema is None:
        return None
    return Draft202012Validator(_reread(schema, _KEYWORDS.get(operation.key, {})), format_checker=_format_checker())


def _reread(schema: Any, keywords: Mapping[str, str | None]) -> Any:
    """The schema with some keywords renamed or left out, at any depth."""
    if isinstance(schema, list):
        return [_reread(each, keywords) for each in schema]
    if not isinstance(schema, dict) or not keywords:
        return schema
    return {keywords.get(key, key): _reread(value, keywords) for key, value in schema.items() if keywords.get(key, key)}


@functools.cache
def _format_checker() -> FormatChecker:
    checker = FormatChecker(formats=())
    for name, pattern in _FORMATS.items():
        checker.checks(name)(functools.partial(_has_format, re.compile(pattern)))
    return checker


def _has_format(pattern: re.Pattern[str], value: object) -> bool:
    return not isinstance(value, str) or pattern.search(value) is not None


def _explain(error: ValidationError) -> str:
    place = "/".join(str(part) for part in error.absolute_path)
    return f"at '{place}': {error.message[:300]}"
