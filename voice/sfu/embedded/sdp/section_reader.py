"""The lines of one m-section, read one by one into a `Section`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from voice.sfu.embedded.contracts import Codec
from voice.sfu.embedded.sdp.description import Direction, SdpError, Section, SectionKind, TransportAttributes
from voice.sfu.embedded.sdp.limits import (
    MAX_CANDIDATES,
    MAX_EXTENSIONS,
    MAX_FORMATS,
    MAX_MID,
    MAX_MSID,
    MAX_RIDS,
    MAX_SSRCS,
)
from voice.sfu.embedded.sdp.transport_reader import TransportReader

_KINDS: Mapping[str, SectionKind] = {"audio": "audio", "video": "video", "application": "application"}
_DIRECTIONS: Mapping[str, Direction] = {
    "sendrecv": "sendrecv",
    "sendonly": "sendonly",
    "recvonly": "recvonly",
    "inactive": "inactive",
}
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]+", re.ASCII)
_RID = re.compile(r"[A-Za-z0-9_-]{1,16}", re.ASCII)
_CODEC_NAME = re.compile(r"[A-Za-z0-9._+-]{1,32}", re.ASCII)
_PARAMETERS = re.compile(r"[\x20-\x7e]{0,1024}", re.ASCII)
_TRANSPORT_NAMES = frozenset(("ice-ufrag", "ice-pwd", "setup", "fingerprint"))


@dataclass(frozen=True, slots=True)
class _Format:
    name: str
    clock_rate: int
    channels: int


class SectionReader:
    """One section being read. Every method takes the value of one attribute and raises SdpError where it is broken."""

    def __init__(self, media_line: str, inherited: TransportAttributes) -> None:
        self._media, self._port, self._protocol, self._formats = _media_line(media_line)
        self._transport = TransportReader(inherited)
        self._mid = self._stream_id = self._track_id = self._cname = ""
        self._direction: Direction = "sendrecv"
        self._bundle_only = self._rtcp_mux = False
        self._maps: dict[int, _Format] = {}
        self._parameters: dict[int, str] = {}
        self._feedback: dict[str, list[str]] = {}
        self._extensions: dict[str, int] = {}
        self._ssrcs: dict[int, None] = {}
        self._rtx_ssrcs: dict[int, int] = {}
        self._rids: list[str] = []
        self._simulcast: tuple[str, ...] = ()
        self._sctp_port, self._max_message_size = 0, 65_536
        self._candidates: list[str] = []
        self._readers: Mapping[str, Callable[[str], None]] = {
            "mid": self._read_mid,
            "rtpmap": self._read_rtpmap,
            "fmtp": self._read_fmtp,
            "rtcp-fb": self._read_feedback,
            "extmap": self._read_extension,
            "msid": self._read_msid,
            "ssrc": self._read_ssrc,
            "ssrc-group": self._read_ssrc_group,
            "rid": self._read_rid,
            "simulcast": self._read_simulcast,
            "candidate": self._read_candidate,
            "sctp-port": self._read_sctp_port,
            "max-message-size": self._read_max_message_size,
        }

    def attribute(self, name: str, value: str) -> None:
        reader = self._readers.get(name)
        if reader is not None:
            reader(value)
        elif name in _DIRECTIONS:
            self._direction = _DIRECTIONS[name]
        elif name == "rtcp-mux":
            self._rtcp_mux = True
        elif name == "bundle-only":
            self._bundle_only = True
        elif name in _TRANSPORT_NAMES:
            self._transport.attribute(name, value)

    def section(self, digest: int) -> Section:
        repairs = self._repairs()
        return Section(
            kind=_KINDS.get(self._media),
            media=self._media,
            port=self._port,
            protocol=self._protocol,
            formats=self._formats,
            mid=self._mid,
            direction=self._direction,
            bundle_only=self._bundle_only,
            rtcp_mux=self._rtcp_mux,
            stream_id=self._stream_id,
            track_id=self._track_id,
            codecs=self._codecs(),
            rtx=repairs,
            extensions=self._extensions,
            ssrcs=tuple(ssrc for ssrc in self._ssrcs if ssrc not in self._rtx_ssrcs),
            rtx_ssrcs=self._rtx_ssrcs,
            cname=self._cname,
            rids=tuple(rid for rid in self._simulcast if rid in self._rids),
            sctp_port=self._sctp_port,
            max_message_size=self._max_message_size,
            candidates=tuple(self._candidates),
            transport=self._transport.attributes(),
            digest=digest,
        )

    # --- what the lines add up to ------------------------------------------------------------------------------

    def _payload_types(self) -> list[int]:
        """Those of the m-line that have a rtpmap, in its order."""
        listed = [int(text) for text in self._formats if text.isdecimal() and len(text) <= 3]
        return [payload_type for payload_type in dict.fromkeys(listed) if payload_type in self._maps]

    def _codecs(self) -> tuple[Codec, ...]:
        for_all = self._feedback.get("*", [])
        return tuple(
            self._codec(payload_type, self._maps[payload_type], for_all)
            for payload_type in self._payload_types()
            if self._maps[payload_type].name.lower() != "rtx"
        )

    def _codec(self, payload_type: int, form: _Format, for_all: list[str]) -> Codec:
        return Codec(
            payload_type=payload_type,
            name=form.name,
            clock_rate=form.clock_rate,
            channels=form.channels,
            parameters=self._parameters.get(payload_type, ""),
            feedback=tuple(dict.fromkeys(for_all + self._feedback.get(str(payload_type), []))),
        )

    def _repairs(self) -> dict[int, int]:
        """RFC 4588 section 8.6: a=fmtp:97 apt=96."""
        repairs = {}
        for payload_type in self._payload_types():
            if self._maps[payload_type].name.lower() == "rtx":
                repaired = parameter(self._parameters.get(payload_type, ""), "apt")
                if repaired.isdecimal() and len(repaired) <= 3 and int(repaired) in self._maps:
                    repairs[payload_type] = int(repaired)
        return repairs

    # --- attributes --------------------------------------------------------------------------------------------

    def _read_mid(self, value: str) -> None:
        if len(value) > MAX_MID or _TOKEN.fullmatch(value) is None:
            raise SdpError("A mid is a short token.")
        self._mid = value

    def _read_rtpmap(self, value: str) -> None:
        number, _, encoding = value.partition(" ")
        name, *rest = encoding.strip().split("/")
        if _CODEC_NAME.fullmatch(name) is None or not 1 <= len(rest) <= 2:
            raise SdpError("A rtpmap is a payload type, a name, a clock rate and channels.")
        channels = whole_number(rest[1], 255, "channels") if len(rest) == 2 else 1
        payload_type = whole_number(number, 127, "payload type")
        self._maps[payload_type] = _Format(name, whole_number(rest[0], 10_000_000, "clock rate"), channels)

    def _read_fmtp(self, value: str) -> None:
        number, _, parameters = value.partition(" ")
        if number.isdecimal():
            if _PARAMETERS.fullmatch(parameters) is None:
                raise SdpError("The parameters of a format are short ASCII text.")
            self._parameters[whole_number(number, 127, "payload type")] = parameters.strip()

    def _read_feedback(self, value: str) -> None:
        number, _, kind = value.partition(" ")
        kinds = self._feedback.setdefault(number, [])
        if len(self._feedback) > MAX_FORMATS or len(kinds) >= 16:
            raise SdpError("Too many kinds of feedback.")
        kinds.append(" ".join(kind.split()))

    def _read_extension(self, value: str) -> None:
        number, _, uri = value.partition(" ")
        identifier = whole_number(number.partition("/")[0], 255, "extension id")
        words = uri.split()
        if words and len(self._extensions) < MAX_EXTENSIONS:
            self._extensions.setdefault(words[0], identifier)

    def _read_msid(self, value: str) -> None:
        if len(value) > MAX_MSID:
            raise SdpError("A msid is too long.")
        self._stream_id, _, self._track_id = (part.strip() for part in value.partition(" "))

    def _read_ssrc(self, value: str) -> None:
        number, _, attribute = value.partition(" ")
        self._add_ssrc(whole_number(number, 0xFFFFFFFF, "SSRC"))
        name, _, text = attribute.partition(":")
        if name == "cname" and not self._cname:
            self._cname = text[:MAX_MSID]

    def _read_ssrc_group(self, value: str) -> None:
        semantics, *numbers = value.split() or [""]
        if semantics == "FID" and len(numbers) == 2:
            media, repair = (whole_number(number, 0xFFFFFFFF, "SSRC") for number in numbers)
            self._add_ssrc(media)
            self._add_ssrc(repair)
            self._rtx_ssrcs[repair] = media

    def _add_ssrc(self, ssrc: int) -> None:
        self._ssrcs[ssrc] = None
        if len(self._ssrcs) > MAX_SSRCS:
            raise SdpError(f"A section may have {MAX_SSRCS} SSRCs.")

    def _read_rid(self, value: str) -> None:
        rid, direction = (*value.split(), "", "")[:2]
        if _RID.fullmatch(rid) is None or len(self._rids) >= MAX_RIDS:
            raise SdpError(f"There may be {MAX_RIDS} rids, each a short word.")
        if direction == "send":
            self._rids.append(rid)

    def _read_simulcast(self, value: str) -> None:
        """RFC 8853 section 5.1: `send q;h,h2;~f recv ...`; of alternatives we take the first, paused or not."""
        words = value.split()
        if "send" in words[::2] and len(words) % 2 == 0:
            streams = words[words[::2].index("send") * 2 + 1]
            self._simulcast = tuple(stream.split(",")[0].lstrip("~") for stream in streams.split(";"))[:MAX_RIDS]

    def _read_candidate(self, value: str) -> None:
        if len(self._candidates) < MAX_CANDIDATES:
            self._candidates.append(value)

    def _read_sctp_port(self, value: str) -> None:
        self._sctp_port = whole_number(value, 65_535, "sctp-port")

    def _read_max_message_size(self, value: str) -> None:
        self._max_message_size = whole_number(value, 2**53, "max-message-size")


def _media_line(line: str) -> tuple[str, int, str, tuple[str, ...]]:
    """`audio 9 UDP/TLS/RTP/SAVPF 111 0`."""
    words = line.split()
    if len(words) < 4 or len(words) > MAX_FORMATS + 3:
        raise SdpError("A section has a kind, a port, a protocol and some formats.")
    media, port, protocol, *formats = words
    if not all(_TOKEN.fullmatch(word.replace("/", "")) for word in (media, protocol, *formats)):
        raise SdpError("Kind, protocol and formats of a section are tokens.")
    return media, whole_number(port.partition("/")[0], 65_535, "port"), protocol, tuple(formats)


def whole_number(text: str, highest: int, what: str) -> int:
    """From 0 to `highest`; raises SdpError. `int` alone would take signs, spaces, underscores and other scripts."""
    text = text.strip()
    if not text.isascii() or not text.isdecimal() or len(text) > 16 or int(text) > highest:
        raise SdpError(f"{what} is a number up to {highest}.")
    return int(text)


def parameter(parameters: str, name: str) -> str:
    """The value of one parameter of a=fmtp; empty where it is not there."""
    for part in parameters.split(";"):
        key, _, value = part.strip().partition("=")
        if key.lower() == name:
            return value.strip()
    return ""
