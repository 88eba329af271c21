"""Data channels: SCTP over DTLS (RFC 8831), by aiortc's association inside limits of our own.

`aiortc` as a package would load codecs that nobody here needs (decision 0012), so its SCTP modules are loaded alone.
It trusts its peer: a parameter of length 0 is read for ever, gap blocks are walked through number by number, memory
grows with what is half received. So each packet is looked at before it is handed over, and the association's size
after. A peer that breaks a limit, or makes the library raise, loses its association and nothing else.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
import time
import types
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Protocol

from voice.sfu.embedded.transport import sctp_screen
from voice.sfu.embedded.transport.limits import (
    MAX_CHANNEL_BACKLOG,
    MAX_CHANNELS,
    MAX_LABEL,
    MAX_MESSAGE,
    MAX_REASSEMBLY,
    MAX_REASSEMBLY_CHUNKS,
    MAX_STREAMS,
)

_log = logging.getLogger(__name__)

_PORT = 5000
"""Of both sides; a=sctp-port of every WebRTC description."""


def _load_aiortc() -> tuple[Any, Any]:
    """Its modules of SCTP and of data channels, without running the package's own `__init__`.

    What is put into `sys.modules` meanwhile is taken out again: nobody else shall find half a package there.
    """
    spec = importlib.util.find_spec("aiortc")
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError("aiortc is not installed.")
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "aiortc"}
    for name in before:
        del sys.modules[name]
    package = types.ModuleType("aiortc")
    package.__path__ = list(spec.submodule_search_locations)
    dtls = types.ModuleType("aiortc.rtcdtlstransport")
    dtls.RTCDtlsTransport = object  # type: ignore[attr-defined]  # only named, in annotations
    sys.modules.update({"aiortc": package, "aiortc.rtcdtlstransport": dtls})
    try:
        # In this order: the two import each other, and only channels first works.
        channels = importlib.import_module("aiortc.rtcdatachannel")
        association = importlib.import_module("aiortc.rtcsctptransport")
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "aiortc"]:
            del sys.modules[name]
        sys.modules.update(before)
    # Its timers and round trip times must not jump with the wall clock.
    association.time = types.SimpleNamespace(time=time.monotonic)  # type: ignore[attr-defined]
    return association, channels


_association, _channels = _load_aiortc()


class ChannelObserver(Protocol):
    """Told by data channels."""

    def channel_opened(self, label: str) -> None: ...

    def data_arrived(self, label: str, payload: bytes) -> None: ...


@dataclass(slots=True)
class _DtlsForAiortc:
    """All that aiortc's association asks of what is below it."""

    _role: str
    _send: Callable[[bytes], None]
    state: str = "connected"
    receiver: Any = None

    def _register_data_receiver(self, receiver: Any) -> None:
        self.receiver = receiver

    def _unregister_data_receiver(self, receiver: Any) -> None:
        self.receiver = None

    async def _send_data(self, data: bytes) -> None:
        self._send(data)


class _Broken(Exception):  # noqa: N818 - reads like what happened
    """The peer went over a limit."""


class _Closed(Exception):  # noqa: N818 - reads like what happened
    """The peer ended the association, as clients do when they leave."""


@dataclass(slots=True, eq=False)
class DataChannels:
    """The data channels of one peer. `send` takes SCTP packets for DTLS and must neither raise nor wait."""

    _observer: ChannelObserver
    _below: _DtlsForAiortc
    _sctp: Any
    _open: dict[str, Any] = field(default_factory=dict)
    over: bool = False
    """Ended by the peer, by a limit, or by us: nothing more comes or goes."""

    def start(self) -> None:
        """Begin the association; both sides do (RFC 8841 section 9.3)."""
        self._guarded(
            lambda: _run(self._sctp.start(_association.RTCSctpCapabilities(maxMessageSize=MAX_MESSAGE), _PORT))
        )

    def receive(self, packet: bytes) -> None:
        if not self.over:
            self._guarded(lambda: self._receive(packet))

    def open(self, label: str, *, reliable: bool) -> None:
        """Unreliable ones neither repeat nor keep order, as LiveKit's `_lossy`."""
        if not self.over:
            self._guarded(lambda: self._open_channel(label, reliable))

    def send(self, label: str, payload: bytes) -> bool:
        """False where the channel is not open, the message too long, or too much waits."""
        channel = self._open.get(label)
        if self.over or channel is None or channel.readyState != "open" or len(payload) > MAX_MESSAGE:
            return False
        if channel.bufferedAmount + len(payload) > MAX_CHANNEL_BACKLOG:
            return False
        return self._guarded(lambda: channel.send(payload))

    def close(self) -> None:
        if not self.over:
            self._end()

    # --- inside ------------------------------------------------------------------------------------------------

    def _guarded(self, action: Callable[[], None]) -> bool:
        """The library raises in many ways for what peers send; none of them may reach the worker."""
        try:
            action()
        except _Closed:
            self._end()
            return False
        except Exception as error:
            _log.info("A data channel association ends: %s: %s", type(error).__name__, error)
            self._end()
            return False
        return True

    def _end(self) -> None:
        self.over = True
        self._open.clear()
        try:
            _run(self._sctp.stop())
        except Exception as error:
            _log.debug("Ending an association: %s", error)
            self._sctp._set_state(self._sctp.State.CLOSED)
        # A repetition that is scheduled already would start the timers of a dead association again.
        self._sctp._sent_queue.clear()
        self._sctp._outbound_queue.clear()
        self._sctp._data_channel_queue.clear()
        self._sctp._forward_tsn_chunk = None

    def _receive(self, packet: bytes) -> None:
        if not sctp_screen.is_harmless(packet):
            raise _Broken("a packet that no client sends")
        _run(self._sctp._handle_data(packet))
        self._check_size()

    def _check_size(self) -> None:
        sctp = self._sctp
        streams = sctp._inbound_streams
        pieces = sum(len(stream.reassembly) for stream in streams.values())
        if (
            len(streams) > MAX_STREAMS
            or len(sctp._data_channels) > MAX_CHANNELS
            or pieces > MAX_REASSEMBLY_CHUNKS
            or len(sctp._sack_misordered) > MAX_REASSEMBLY_CHUNKS
            or sctp._advertised_rwnd < -MAX_MESSAGE
        ):
            raise _Broken("more than it may")
        if sctp.state == "closed":
            raise _Closed

    def _open_channel(self, label: str, reliable: bool) -> None:
        parameters = _channels.RTCDataChannelParameters(
            label=label, ordered=reliable, maxRetransmits=None if reliable else 0
        )
        channel = _channels.RTCDataChannel(self._sctp, parameters)
        channel.on("open", lambda: self._opened(channel))
        self._listen(channel)

    def _arrived(self, channel: Any) -> None:
        """The peer opened one."""
        if len(channel.label) > MAX_LABEL:
            raise _Broken("a label of too many characters")
        self._listen(channel)
        self._opened(channel)

    def _listen(self, channel: Any) -> None:
        channel.on("message", lambda payload: self._message(channel, payload))

    def _opened(self, channel: Any) -> None:
        self._open[channel.label] = channel
        _tell(lambda: self._observer.channel_opened(channel.label))

    def _message(self, channel: Any, payload: bytes | str) -> None:
        if len(payload) > MAX_MESSAGE:
            raise _Broken("a message of too many bytes")
        # LiveKit's packets are protobuf: a text message is none of them.
        if isinstance(payload, bytes):
            _tell(lambda: self._observer.data_arrived(channel.label, payload))


def _tell(observer: Callable[[], None]) -> None:
    """A fault of ours above is no fault of the peer: it is reported, and the association goes on."""
    try:
        observer()
    except Exception:
        _log.exception("A message of a data channel could not be handled.")


def _run(coroutine: Coroutine[Any, Any, None]) -> None:
    """To its end, at once: nothing in it waits for anything, as what is below does not. No task for each packet."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
    raise RuntimeError("aiortc waited for something.")


def new_data_channels(observer: ChannelObserver, send: Callable[[bytes], None], *, server: bool = True) -> DataChannels:
    """`server`: our role in DTLS, which decides whose stream numbers are odd (RFC 8832 section 6)."""
    below = _DtlsForAiortc("server" if server else "client", send)
    sctp = _association.RTCSctpTransport(below, _PORT)
    sctp._advertised_rwnd = MAX_REASSEMBLY
    channels = DataChannels(observer, below, sctp)
    sctp.on("datachannel", channels._arrived)
    return channels
