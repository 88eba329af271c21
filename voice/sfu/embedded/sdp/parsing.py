"""From the text of a description to a `Description`; what is not known is skipped, what is broken is refused.

RFC 8866 is the grammar, RFC 8829 (JSEP) what browsers write. No line of a text is ever written into another one
unchecked: control characters end the reading at once, and what is echoed to anybody (mids, rids, formats) has a grammar.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from voice.sfu.embedded.sdp.description import Description, Fingerprint, SdpError, Section, TransportAttributes
from voice.sfu.embedded.sdp.limits import MAX_LINE, MAX_SECTION_LINES, MAX_SECTIONS, MAX_TEXT
from voice.sfu.embedded.sdp.section_reader import SectionReader
from voice.sfu.embedded.sdp.transport_reader import TransportReader

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)")


def parse(text: str, known: Description | None = None) -> Description:
    """Read an offer or an answer; raises SdpError.

    `known` is the last description of the same peer: sections that did not change since are taken from it, which makes
    the many offers of a growing room cheap.
    """
    session, *sections = _blocks(text)
    head = _SessionReader()
    head.read(session)
    inherited = head.transport.attributes()
    before = {section.digest: section for section in known.sections} if known else {}
    return _description(head, inherited, tuple(_section(block, inherited, before) for block in sections))


def _blocks(text: str) -> list[str]:
    """The session's lines, then those of each section."""
    if len(text) > MAX_TEXT:
        raise SdpError(f"A description may have {MAX_TEXT} characters.")
    if _CONTROL.search(text):
        raise SdpError("A description has no control characters.")
    blocks = text.replace("\r\n", "\n").split("\nm=")
    if not blocks[0].startswith("v=0"):
        raise SdpError("A description begins with v=0.")
    if len(blocks) > MAX_SECTIONS + 1:
        raise SdpError(f"A description may have {MAX_SECTIONS} sections.")
    return blocks


def _lines(block: str) -> list[str]:
    lines = block.split("\n")
    if len(lines) > MAX_SECTION_LINES:
        raise SdpError(f"A section may have {MAX_SECTION_LINES} lines.")
    if max(map(len, lines)) > MAX_LINE:
        raise SdpError(f"A line may have {MAX_LINE} characters.")
    return lines


def _section(block: str, inherited: TransportAttributes, before: Mapping[int, Section]) -> Section:
    digest = hash((block, inherited))
    known = before.get(digest)
    if known is not None:
        return known
    media, *lines = _lines(block)
    reader = SectionReader(media, inherited)
    for line in lines:
        if line.startswith("a="):
            name, _, value = line[2:].partition(":")
            reader.attribute(name, value)
    return reader.section(digest)


class _SessionReader:
    """The lines before the first section."""

    __slots__ = ("bundle", "ice_lite", "transport")

    def __init__(self) -> None:
        self.transport = TransportReader()
        self.bundle: tuple[str, ...] | None = None
        self.ice_lite = False

    def read(self, block: str) -> None:
        for line in _lines(block):
            if line.startswith("a="):
                name, _, value = line[2:].partition(":")
                self._attribute(name, value)

    def _attribute(self, name: str, value: str) -> None:
        if name == "group":
            semantics, *mids = value.split() or [""]
            if semantics == "BUNDLE" and self.bundle is None:
                self.bundle = tuple(mids)
        elif name == "ice-lite":
            self.ice_lite = True
        else:
            self.transport.attribute(name, value)


def _description(head: _SessionReader, inherited: TransportAttributes, sections: tuple[Section, ...]) -> Description:
    bundle = head.bundle or ()
    _check_mids(sections, bundle)
    transport = _bundled_transport(sections, bundle, inherited)
    return Description(
        sections=sections,
        ufrag=transport.ufrag,
        password=transport.password,
        fingerprint=_required(transport.fingerprint),
        setup=transport.setup,
        bundle=bundle,
        ice_lite=head.ice_lite,
    )


def _check_mids(sections: tuple[Section, ...], bundle: tuple[str, ...]) -> None:
    mids = [section.mid for section in sections if section.mid]
    if len(set(mids)) != len(mids) or any(not section.mid and not section.is_rejected for section in sections):
        raise SdpError("Every section has a mid of its own.")
    if len(set(bundle)) != len(bundle) or not set(mids).issuperset(bundle):
        raise SdpError("A bundle names sections of its description, each once.")


def _bundled_transport(
    sections: tuple[Section, ...], bundle: tuple[str, ...], inherited: TransportAttributes
) -> TransportAttributes:
    """RFC 8843 section 7.2: the first section of the bundle says how all of them are reached."""
    tagged = bundle[0] if bundle else None
    chosen = next((s.transport for s in sections if s.mid == tagged or (tagged is None and not s.is_rejected)), None)
    transport = chosen or inherited
    if not transport.ufrag or not transport.password:
        raise SdpError("A description needs ice-ufrag and ice-pwd.")
    return transport


def _required(fingerprint: Fingerprint | None) -> Fingerprint:
    if fingerprint is None:
        raise SdpError("A description needs a fingerprint of SHA-256 or better.")
    return fingerprint
