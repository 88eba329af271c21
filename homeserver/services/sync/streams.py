"""All streams together: where each of them stands."""

from __future__ import annotations

from dataclasses import dataclass

from homeserver.services.sync.sources import (
    AccountDataSource,
    DeviceListSource,
    KeyCountSource,
    PresenceSource,
    ReceiptSource,
    ToDeviceSource,
    TypingSource,
    UnreadSource,
    VoiceSource,
)
from homeserver.services.tokens import STREAM_NAMES, StreamToken
from homeserver.storage.positions import StreamPosition


@dataclass(frozen=True, slots=True)
class Streams:
    """What a sync is put together from."""

    events: StreamPosition
    receipts: ReceiptSource
    typing: TypingSource
    presence: PresenceSource
    account_data: AccountDataSource
    to_device: ToDeviceSource
    device_lists: DeviceListSource
    unread: UnreadSource
    key_counts: KeyCountSource
    voice: VoiceSource

    def now(self) -> StreamToken:
        """Up to where every stream is complete."""
        return StreamToken(
            self.events.current,
            self.receipts.stream.current,
            self.typing.stream.current,
            self.presence.stream.current,
            self.account_data.stream.current,
            self.to_device.stream.current,
            self.device_lists.stream.current,
            self.voice.position.current,
        )


def clamped(since: StreamToken, now: StreamToken) -> StreamToken:
    """A place ahead of a stream (the database was restored, a stream began anew) counts as its beginning: whatever is
    there may be news to this reader.
    """
    if all(getattr(since, name) <= getattr(now, name) for name in STREAM_NAMES):
        return since
    return StreamToken(
        *(getattr(since, name) if getattr(since, name) <= getattr(now, name) else 0 for name in STREAM_NAMES)
    )
