"""Policies of the settings, in the words of services/registration/terms.py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from config.errors import ConfigError
from config.settings import PolicySettings
from homeserver.composition.foundation import Foundation
from homeserver.protocol.identifiers import is_opaque_identifier
from homeserver.services.registration.terms import Policy, PolicyText, Terms
from homeserver.storage.accepted_policies import AcceptedPolicies


def build_terms(base: Foundation, settings: Sequence[PolicySettings]) -> Terms:
    """Raises ConfigError, with a line for each mistake."""
    problems = [problem for each in settings for problem in _problems_of(each)]
    if len({each.id for each in settings}) < len(settings):
        problems.append("registration.policies: two policies have the same id.")
    if problems:
        raise ConfigError("\n".join(problems))
    return Terms([_policy(each) for each in settings], AcceptedPolicies(), base.clock)


def _problems_of(policy: PolicySettings) -> Iterator[str]:
    if not is_opaque_identifier(policy.id):
        yield f"registration.policies: {policy.id!r} is no id; take a word such as privacy_policy."
    if not policy.texts:
        yield f"registration.policies: {policy.id} has no texts."
    for text in policy.texts:
        if not text.url or not text.name or text.language in ("", "version"):
            yield f"registration.policies: each text of {policy.id} needs a language, a name and a url."


def _policy(given: PolicySettings) -> Policy:
    return Policy(
        given.id, given.version, [PolicyText(each.language, each.name, each.url or "") for each in given.texts]
    )
