"""Every number that bounds what clients can make a worker hold, do or send."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RoomLimits:
    """Times in ms, sizes in bytes."""

    rooms: int = 2_000
    participants: int = 2_000
    """In all rooms of this worker."""
    tracks_per_participant: int = 12
    """Microphone, camera, screen, its sound, and those of a change from one device to another."""
    remembered_settings: int = 2_000
    """Track settings of one participant; clients send them before they subscribe."""

    empty_room: int = 300_000
    """A room nobody is in is forgotten after this."""
    ping_interval: int = 2_000
    ping_timeout: int = 6_000
    silence: int = 4_000
    """Neither signalling nor media for so long: gone."""
    silence_without_signalling: int = 3_000
    """The same when the WebSocket ended without a `leave`. Browsers check a path every 2.5 s when they send nothing."""
    media_failed: int = 1_000
    """From the end of a transport to that of the session, if the client says nothing."""
    resume: int = 15_000
    """So long a participant whose media flows may be without a WebSocket."""
    join: int = 20_000
    """From the WebSocket to flowing media."""
    media_silence: int = 30_000
    """With living signalling; the client is told to connect anew."""

    name: int = 256
    metadata: int = 16_000
    track: int = 2_000
    """All that is said of a track when it is announced; it goes to everybody, time and again."""
    attributes: int = 16_000
    """Keys and values together."""
    attribute_count: int = 64
    data_packet: int = 16_000
    """LiveKit's documented limit is 15 KiB of payload."""
    data_packets_per_second: int = 200
    data_bytes_per_second: int = 500_000
    data_burst_seconds: int = 2
    datagrams_per_sender: int = 1_000
    """A second, for the data of one participant to all others: a message to fifty is fifty messages."""
    datagrams_per_room: int = 2_000
    datagram: int = 1_200

    requests_per_second: int = 50
    request_burst: int = 300
    request_bytes_per_second: int = 500_000
    request_bytes_burst: int = 4_000_000
    """Many long offers, as in a big room where everybody arrives."""
    message: int = 300_000
    """An offer may have 256 Ki characters."""
    names: int = 1_000
    """Of tracks or participants in one request that are looked at."""
    updates_of_oneself_per_second: float = 2
    updates_of_oneself_burst: int = 20
    """Each goes to everybody."""
    join_request: int = 512_000
    """Unpacked; an offer of a client with many sections is about 100 kB."""
    queued_messages: int = 2_000
    queued_bytes: int = 8 << 20
    """To one client that does not read."""

    update_delay: int = 20
    """News of participants are collected for so long."""
    slow_update_delay: int = 200
    """And for so long in a room where much is new, for everybody is told everything."""
    updates_per_second: int = 10
    update_burst: int = 30
    negotiation_delay: int = 50
    """New subscriptions are collected for so long."""
    negotiation_gap_per_participant: int = 10
    """A client that has just negotiated waits so long for each person in the room, so that many joins stay cheap."""
    negotiation_gap: int = 500
    """But no longer than this."""
    negotiation_retry: int = 3_000
    """A client that was asked for an offer and sent none is asked again."""

    token_refresh: int = 600_000
    """A token that ends in less is replaced, so that the client can still join anew."""
    token_life: int = 3_600_000
    """Of tokens minted here."""
    longest_token_life: int = 6 * 3_600_000
    """Longer ones are refused: revocations are remembered for this long."""
    revocations: int = 100_000

    negotiation_timeout: int = 15_000
    """An offer of ours that is not answered for so long: the client connects anew."""

    speakers_interval: int = 200
    sweep_interval: int = 500
    overslept: int = 1_500
    """A sweep that is so late judges nobody."""
    quality_interval: int = 5_000
