"""What a call that was placed means for people, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from voice.probe.call import Call, Failure, Sound, Stage
from voice.probe.finding import Finding, note, ok, wrong
from voice.probe.places import any_public, is_public
from voice.probe.reach import Reached, address_text
from voice.probe.reaching import why_no_answer

MOST_LOSS: Final = 0.02
MOST_JITTER_MS: Final = 30.0
_TOO_LONG: Final = (414, 431)
_OF_THE_SFU: Final = (401, 403, 502, 503, 504)
_UPGRADE: Final = "it has to pass on WebSockets: HTTP/1.1 with the headers Upgrade and Connection"


@dataclass(frozen=True, slots=True)
class Scene:
    """Where the test takes place."""

    base_url: str
    base_addresses: Sequence[str]

    @property
    def is_public(self) -> bool:
        return any_public(self.base_addresses)


# --- signalling ------------------------------------------------------------------------------------------------------


def of_door(url: str, status: int, text: str) -> Finding:
    """What the SFU's HTTP side answers to one of our tokens."""
    place = _place(url)
    match status:
        case 200:
            return ok(f"Signalling at {place} answers, and takes the server's tokens.")
        case 401 | 403:
            return wrong(
                f"The SFU at {place} refuses the server's token ({text}): its key and secret have to be those of the "
                "configuration, and the clocks of both machines right."
            )
        case 404:
            return wrong(
                f"There is no SFU at {place} (404): the proxy has to send this path, with all below it, there."
            )
        case 502 | 503 | 504:
            return wrong(f"The SFU at {place} is down ({status}): the log of server and proxy says why.")
        case _:
            return wrong(f"{place} answers {status} instead of the SFU: the proxy has to send all of this path there.")


def of_no_door(url: str, error: BaseException) -> Finding:
    return wrong(why_no_answer(url, error))


def is_of_signalling(call: Call) -> bool:
    """Whether another path would fail in the same way."""
    return call.failure is not None and call.failure.stage is Stage.SIGNALLING


def of_signalling(url: str, failure: Failure) -> Finding:
    """HTTP works, for the door was asked before: what fails is the WebSocket."""
    place = _place(url)
    if failure.status in _TOO_LONG:
        return wrong(
            f"{place} refuses long addresses ({failure.status}), and clients join with theirs: the proxy has to take "
            "request lines of 64 KiB (nginx: large_client_header_buffers 4 64k)."
        )
    if failure.status in _OF_THE_SFU:
        return of_door(url, failure.status, failure.reason)
    if failure.status == 404:
        return wrong(
            f"There is no {place}/rtc/v1 (404), though /rtc is there: the proxy has to send all below this path to the SFU, "
            "and a LiveKit has to be new enough for protocol v1."
        )
    if failure.status:
        return wrong(
            f"{place} answers a WebSocket with {failure.status}: there is a proxy that does not let it through; {_UPGRADE}."
        )
    if failure.error is not None and not isinstance(failure.error, TimeoutError):
        return wrong(f"The WebSocket at {place} does not open: {why_no_answer(url, failure.error)}")
    return wrong(f"The WebSocket at {place} opens or waits, and then nothing comes through the proxy; {_UPGRADE}.")


def _place(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


# --- a path ----------------------------------------------------------------------------------------------------------


def of_path(name: str, call: Call, scene: Scene) -> Iterator[Finding]:
    """`name` is UDP or TCP."""
    if call.sound is not None:
        yield of_sound(name, call.sound)
        yield from _unanswered(name, call.reached)
    elif call.failure is not None:
        yield wrong(_why(name, call, call.failure, scene))


def of_sound(name: str, sound: Sound) -> Finding:
    measured = (
        f"{sound.received} of {sound.sent} packets arrived, latency {sound.latency_ms:.0f} ms "
        f"(99 %: {sound.latency_p99_ms:.0f} ms), jitter {sound.jitter_ms:.0f} ms"
    )
    if sound.loss > MOST_LOSS:
        return wrong(
            f"{name} loses {sound.loss * 100:.0f} % of the sound: {measured}. A line or a machine on the way is overloaded."
        )
    if sound.jitter_ms > MOST_JITTER_MS:
        return wrong(f"{name} is unsteady: {measured}. A machine on the way is busy, often the one this runs on.")
    return ok(f"{name} works: {measured}.")


def _unanswered(name: str, reached: Sequence[Reached]) -> Iterator[Finding]:
    """The call took another address; those who are elsewhere may have only this one."""
    silent = [each for each in reached if each.told and not each.answers and is_public(each.candidate.address[0])]
    if silent:
        yield note(
            f"{name} at {_addresses(silent)} does not answer from here, though clients are told of it. Where this machine is "
            "behind the same router that may be the router's doing: test from another network (--base-url, --key-file)."
        )


def _why(name: str, call: Call, failure: Failure, scene: Scene) -> str:
    match failure.stage:
        case Stage.ICE:
            return _why_unreachable(name, call.reached, scene)
        case Stage.DTLS:
            return (
                f"{name} answers, but encryption (DTLS) does not come about{_because(failure.reason)}: large packets get "
                "lost on the way, or a firewall inspects them."
            )
        case Stage.MEDIA if call.heard_by_sfu:
            return (
                f"{name}: the SFU hears us, but its sound does not come back: a firewall stops what the server sends."
            )
        case Stage.MEDIA:
            return f"{name} connects, but no sound gets through: a firewall stops packets that are not handshakes."
        case Stage.SENT_AWAY:
            return f"{name}: the SFU sent us away while we connected{_because(failure.reason)}."
        case _:
            return f"{name}: the SFU takes no microphone of ours{_because(failure.reason)}; its log says why."


def _because(reason: str) -> str:
    return f" ({reason.rstrip('.')})" if reason else ""


def _why_unreachable(name: str, reached: Sequence[Reached], scene: Scene) -> str:
    told = [each for each in reached if each.told]
    here = [each for each in reached if not each.told and each.answers]
    if not told:
        return (
            f"Clients are told of no {name} address at all; is another program using the port, or the SFU's {name} off?"
        )
    if any(each.answers for each in told):
        answering = [each for each in told if each.answers]
        return f"{name} at {_addresses(answering)} answers only now and then: packets get lost on the way."
    if scene.is_public and not any(is_public(each.candidate.address[0]) for each in told):
        return f"{name} cannot be reached: {_private(told, scene)}"
    port = told[0].candidate.address[1]
    start = f"{name} port {port} cannot be reached from here at {_addresses(told)}: "
    if here:
        return start + (
            f"the SFU runs on this machine (it answers at {_addresses(here)}), so either nobody forwards the port to it, the "
            "address is wrong (voice.advertise), or the router does not lead its own address back inside. Forward the "
            "port, or test from another network (--base-url, --key-file)."
        )
    return start + "open it in the firewall, and forward it to the server where there is a router in between."


# --- addresses -------------------------------------------------------------------------------------------------------


def of_addresses(reached: Sequence[Reached], scene: Scene) -> Iterator[Finding]:
    """Those that clients are told of, beside the one where they reach the server."""
    told = [each for each in reached if each.told]
    hosts = list(dict.fromkeys(each.candidate.address[0] for each in told))
    if not scene.is_public:
        if scene.base_addresses:
            yield note(
                f"{scene.base_url} is an address for this machine or network only; so that others can come, set public_baseurl."
            )
        return
    if told and not any_public(hosts):
        yield wrong(f"From elsewhere nobody is heard: {_private(told, scene)}")
    elif told and not set(hosts) & set(scene.base_addresses):
        yield note(
            f"Clients are told {', '.join(hosts)} for voice, while {scene.base_url} is at {', '.join(scene.base_addresses)}: "
            "right behind a proxy on another machine; else set voice.advertise."
        )


def _private(told: Sequence[Reached], scene: Scene) -> str:
    hosts = dict.fromkeys(each.candidate.address[0] for each in told)
    return (
        f"clients are told {', '.join(hosts)}, which the Internet does not reach, while {scene.base_url} is at "
        f"{', '.join(scene.base_addresses)}; set voice.advertise to the public address of the machine with the SFU."
    )


def of_ports(ports: Sequence[int], reached: Sequence[Reached]) -> Iterator[Finding]:
    """The workers that the call was not at."""
    tested = {each.candidate.address[1] for each in reached if each.told}
    others = [port for port in ports if port not in tested]
    if tested and others:
        span = str(others[0]) if len(others) == 1 else f"{others[0]} to {others[-1]}"
        yield note(
            f"Busy servers also use port {span}, UDP and TCP; they were not tested, and have to be open as well."
        )


def _addresses(reached: Sequence[Reached]) -> str:
    return ", ".join(address_text(each.candidate.address) for each in reached)
