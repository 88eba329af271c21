"""What Prometheus reads of voice."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from homeserver.observability.voice_metrics import VoiceMetrics
from tests.cast import Server
from voice.sfu.embedded.control import Numbers


def test_each_worker_has_its_numbers() -> None:
    numbers = {0: Numbers(rooms=2, participants=7, sent=1_000, dropped=3), 4: Numbers(processor_seconds=1.5)}
    registry = CollectorRegistry()
    registry.register(VoiceMetrics(lambda: numbers, lambda: 2))  # type: ignore[arg-type]  # as `Metrics` uses it
    lines = generate_latest(registry).decode().splitlines()
    for line in (
        "voicechat_voice_workers 2.0",
        "voicechat_voice_workers_lost_total 2.0",
        'voicechat_voice_rooms{worker="0"} 2.0',
        'voicechat_voice_participants{worker="0"} 7.0',
        'voicechat_voice_packets_forwarded_total{worker="0"} 1000.0',
        'voicechat_voice_packets_dropped_total{worker="0"} 3.0',
        'voicechat_voice_cpu_seconds_total{worker="4"} 1.5',
    ):
        assert line in lines


async def test_a_server_without_a_call_has_no_worker_yet(server: Server) -> None:
    text = (await server.anonymous().raw("GET", "/metrics", check=False)).body.decode()
    assert "voicechat_voice_workers 0.0" in text.splitlines()
