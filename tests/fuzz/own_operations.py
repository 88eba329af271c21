"""Operations that no OpenAPI file has: unstable ones and our own, described by what their declarations say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from homeserver.http.endpoint import Declaration, Endpoint
from tests.spec import validator
from tests.spec.validator import Operation

API = "ours"
# A declaration does not say what its handler reads of the query.
QUERY = (
    "limit",
    "from",
    "to",
    "since",
    "timeout",
    "dir",
    "access_token",
    "join_request",
    "device_id",
    "room_id",
    "sid",
    "token",
    # Of administrators.
    "order_by",
    "search_term",
    "name",
    "from_ts",
    "ts",
    "before_ts",
    "size_gt",
    "keep_profiles",
    "max_depth",
    "deactivated",
    "not_user_type",
    "action",
    "via",
)
DELAYED = "org.matrix.msc4140.delay"
STICKY = "org.matrix.msc4354.sticky_duration_ms"
INTEGERS = ("limit", "timeout", "from_ts", "ts", "before_ts", "size_gt", "max_depth", DELAYED, STICKY)
DEEPEST = 6


def own_operations(endpoints: Iterable[Endpoint]) -> Iterator[Operation]:
    """Of all that is served what the specification does not have."""
    for endpoint in endpoints:
        declaration = endpoint.declaration
        for path in declaration.paths:
            if not declaration.waits and validator.find(declaration.method, _example(path)) is None:
                yield Operation(API, declaration.method, path, _definition(declaration))


def with_unstable_queries(operation: Operation) -> Operation:
    """Delayed and sticky events are parameters of requests that the specification has."""
    if "/send/" not in operation.path and "/state/" not in operation.path:
        return operation
    parameters = [*operation.definition.get("parameters", ()), *map(_query_parameter, (DELAYED, STICKY))]
    definition = {**operation.definition, "parameters": parameters}
    return Operation(operation.api, operation.method, operation.path, definition)


def _example(path: str) -> str:
    return "/".join("x" if segment.startswith("{") else segment for segment in path.split("/"))


def _definition(declaration: Declaration) -> Mapping[str, Any]:
    parameters = [_query_parameter(name) for name in QUERY]
    if declaration.body is None:
        return {"parameters": parameters}
    schema = msgspec.json.schema(declaration.body)
    content = {"application/json": {"schema": _inlined(schema, schema.get("$defs", {}))}}
    return {"parameters": parameters, "requestBody": {"content": content}}


def _query_parameter(name: str) -> Mapping[str, Any]:
    kind = "integer" if name in INTEGERS else "string"
    return {"in": "query", "name": name, "schema": {"type": kind}}


def _inlined(schema: Any, definitions: Mapping[str, Any], depth: int = 0) -> Any:
    """Without references; what contains itself ends somewhere."""
    if isinstance(schema, list):
        return [_inlined(each, definitions, depth) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        if depth > DEEPEST:
            return {}
        return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions, depth + 1)
    return {key: _inlined(value, definitions, depth) for key, value in schema.items() if key != "$defs"}
