"""Which operations of the specification are served: `python -m tests.spec.coverage` writes spec_coverage.toml anew.

What is routed becomes `done`, what is not `missing` with the reason it had before, or with the one of its module below.
A `partial: why` stays as it is while its operation is routed: only people know that something of it is left out.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from config.settings import Settings
from homeserver.app import build_application
from homeserver.http.endpoint import Endpoint
from homeserver.http.router import Router
from homeserver.protocol import errors
from homeserver.protocol.signing import SigningKey
from homeserver.storage.database import Database

ROOT = Path(__file__).parents[2]
CLASSIFICATION = ROOT / "spec_coverage.toml"
OPERATIONS = Path(__file__).parent / "endpoints.tsv"
SERVED_APIS = ("client-server", "server-server")

HEAD = """\
# What this server serves of the Matrix specification v1.19: every operation of the client-server and server-server API.
#
#   done              it is served
#   partial: what     it is served, but for what is said
#   missing: why      it is not served, and answers M_UNRECOGNIZED
#
# tests/spec/test_coverage.py fails when a word here is not true. Written anew by: python -m tests.spec.coverage
"""
WHY_MISSING = {
    "oauth_server_metadata": "the OAuth 2.0 API comes with single sign-on",
    "sso_login_redirect": "single sign-on comes later",
    "openid": "widgets and integration managers come later",
    "space_hierarchy": "spaces come later",
    "voip": "calls come later",
}
LATER = "not yet built"


@dataclass(frozen=True, slots=True)
class Operation:
    """A line of endpoints.tsv."""

    api: str
    module: str
    method: str
    path: str

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


def operations() -> list[Operation]:
    """All that a homeserver serves."""
    lines = OPERATIONS.read_text("utf-8").splitlines()[1:]
    columns = (line.split("\t") for line in lines)
    return [Operation(api, module, method, path) for api, module, _, method, path, *_ in columns if api in SERVED_APIS]


def routes() -> Router:
    """The routes of the real application; nothing of it is started."""
    key = SigningKey.from_seed("a_test", bytes(32))
    database = Database("postgresql://nobody@127.0.0.1:1/nothing")
    application = build_application(Settings(), database, key, public_baseurl="http://localhost:8008")
    return router_of(application.edge.endpoints)


def router_of(endpoints: Iterable[Endpoint]) -> Router:
    """A router of everything, whatever the listener."""
    return Router(endpoints)


def is_routed(router: Router, operation: Operation) -> bool:
    """Whether a request for this operation reaches an endpoint.

    The specification tells two operations of one path apart by a space at the end, which is no part of it.
    """
    path = "/".join("x" if segment.startswith("{") else segment for segment in operation.path.rstrip().split("/"))
    try:
        router.find(operation.method, path)
    except errors.MatrixError:
        return False
    return True


def classification() -> dict[str, dict[str, dict[str, str]]]:
    """What spec_coverage.toml says: by API, module and operation."""
    return tomllib.loads(CLASSIFICATION.read_text("utf-8")) if CLASSIFICATION.exists() else {}


def status_of(operation: Operation, claims: Mapping[str, Mapping[str, Mapping[str, str]]]) -> str | None:
    """What is claimed of one operation."""
    return claims.get(operation.api, {}).get(operation.module, {}).get(operation.name)


def written_anew(router: Router) -> str:
    """The text of the file for these routes."""
    claims = classification()
    statuses = {
        each: _new_status(each, status_of(each, claims), routed=is_routed(router, each)) for each in operations()
    }
    done = sum(status == "done" for status in statuses.values())
    partly = sum(status.startswith("partial") for status in statuses.values())
    summary = f"# Done: {done} of {len(statuses)}, and {partly} in part.\n"
    return HEAD + summary + "\n".join(_tables(statuses)) + "\n"


def _tables(statuses: Mapping[Operation, str]) -> Iterator[str]:
    table = None
    for operation, status in sorted(statuses.items(), key=lambda item: (item[0].api, item[0].module, item[0].path)):
        if table != (operation.api, operation.module):
            table = (operation.api, operation.module)
            yield f"\n[{operation.api}.{operation.module}]"
        yield f"{json.dumps(operation.name)} = {json.dumps(status)}"


def _new_status(operation: Operation, before: str | None, *, routed: bool) -> str:
    if routed:
        return before if before and before.startswith("partial:") else "done"
    if before and before.startswith("missing:") and before != f"missing: {LATER}":
        return before
    reason = WHY_MISSING.get(operation.module, WHY_MISSING.get(operation.api, LATER))
    return f"missing: {reason}"


if __name__ == "__main__":
    CLASSIFICATION.write_text(written_anew(routes()), "utf-8")
    print(CLASSIFICATION.read_text("utf-8").splitlines()[7])
