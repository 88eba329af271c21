"""spec_coverage.toml tells the truth about every operation of the specification that a homeserver serves."""

from __future__ import annotations

import pytest

from homeserver.http.router import Router
from tests.spec.coverage import Operation, classification, is_routed, operations, routes, status_of

EVERY_OPERATION = 202
REMEDY = "if that is what you want, run: python -m tests.spec.coverage"


@pytest.fixture(scope="module")
def router() -> Router:
    return routes()


def test_every_operation_of_the_specification_is_looked_at() -> None:
    assert len(operations()) == EVERY_OPERATION


@pytest.mark.parametrize("operation", operations(), ids=lambda each: f"{each.api} {each.name}")
def test_the_claim_is_true(router: Router, operation: Operation) -> None:
    status = status_of(operation, classification())
    assert status is not None, f"{operation.name} is not classified; {REMEDY}"
    claim, _, words = status.partition(":")
    assert claim in ("done", "partial", "missing"), f"{operation.name}: {status}"
    assert claim == "done" or words.strip(), f"{operation.name} is {claim}, but nobody says why"
    if claim == "missing":
        assert not is_routed(router, operation), f"{operation.name} is said to be missing and is served; {REMEDY}"
    else:
        assert is_routed(router, operation), f"{operation.name} is said to be {claim} and is not served; {REMEDY}"


def test_nothing_is_claimed_that_the_specification_does_not_have() -> None:
    known = {(each.api, each.module, each.name) for each in operations()}
    claimed = {
        (api, module, name)
        for api, modules in classification().items()
        for module, claims in modules.items()
        for name in claims
    }
    assert claimed == known
