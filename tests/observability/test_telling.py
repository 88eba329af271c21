"""What the server tells about itself, to whom, and what it never tells."""

from __future__ import annotations

import ipaddress
import logging
import time
from pathlib import Path

import pytest

from config.settings import LogSettings, MetricsSettings, Settings
from homeserver.http.observer import UNROUTED, Finished
from homeserver.observability.logs import LineFormatter, RequestLog, configure_logs, line_of
from homeserver.observability.request_counts import BOUNDS_MS, RequestCounts
from tests.cast import Server
from tests.homeserver import server_settings

SEND = "/_matrix/client/v3/rooms/{room_id}/send/{event_type}/{txn_id}"


def finished(**changes: object) -> Finished:
    values: dict[str, object] = {
        "request_id": "abc-1",
        "method": "PUT",
        "raw_path": "/_matrix/client/v3/rooms/!a/send/m.room.message/7",
        "endpoint": SEND,
        "status": 200,
        "duration_ms": 3.21,
        "user_id": "@alice:test",
        "remote_address": "192.0.2.1",
        "response_bytes": 45,
        "errcode": None,
    }
    return Finished(**{**values, **changes})  # type: ignore[arg-type]


# --- The log ------------------------------------------------------------------------------------------------------


def test_the_line_of_a_request() -> None:
    assert line_of(finished()) == (
        "abc-1 PUT /_matrix/client/v3/rooms/!a/send/m.room.message/7 200 3.2ms @alice:test 192.0.2.1 45B " + SEND
    )
    refused = line_of(finished(status=403, errcode="M_FORBIDDEN", user_id=None))
    assert " 403 M_FORBIDDEN 3.2ms - 192.0.2.1 " in refused


@pytest.mark.parametrize("name", ["registration_token", "delay_id", "meeting_id"])
def test_a_secret_in_a_path_is_not_written(name: str) -> None:
    line = line_of(finished(raw_path="/x/hunter2", endpoint=f"/x/{{{name}}}"))
    assert "hunter2" not in line


def test_a_path_cannot_flood_the_log() -> None:
    assert len(line_of(finished(raw_path="/" + "a" * 8000, endpoint=UNROUTED))) < 500


def test_nobody_can_forge_a_line() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "said %s", ("hi\n2026 ERROR all is lost",), None)
    assert LineFormatter().format(record).count("\n") == 0


def test_the_log_goes_to_the_file_of_the_settings(tmp_path: Path) -> None:
    root = logging.getLogger()
    before, level, asyncio_level = root.handlers[:], root.level, logging.getLogger("asyncio").level
    try:
        configure_logs(LogSettings(level="INFO", to=str(tmp_path / "voicechat.log")))
        RequestLog().request_finished(finished())
        RequestLog().request_finished(finished(endpoint="/health", raw_path="/health"))
        lines = (tmp_path / "voicechat.log").read_text().splitlines()
    finally:
        for handler in root.handlers[:]:
            root.removeHandler(handler)
            handler.close()
        for handler in before:
            root.addHandler(handler)
        root.setLevel(level)
        logging.getLogger("asyncio").setLevel(asyncio_level)
    assert len(lines) == 1, "health checks are not worth a line"
    assert " INFO    requests abc-1 PUT " in lines[0]


# --- The counts ---------------------------------------------------------------------------------------------------


def test_requests_are_counted_by_endpoint_status_and_duration() -> None:
    counts = RequestCounts()
    for milliseconds, status in ((0.4, 200), (3.0, 200), (700_000.0, 500)):
        counts.request_finished(finished(duration_ms=milliseconds, status=status))
    tally = counts.tallies["PUT", SEND]
    assert tally.statuses == {200: 2, 500: 1}
    assert (tally.buckets[0], tally.buckets[BOUNDS_MS.index(5.0)], tally.buckets[-1]) == (1, 1, 1)
    assert sum(tally.buckets) == 3
    assert tally.total_bytes == 135


def test_invented_methods_make_no_time_series() -> None:
    counts = RequestCounts()
    for number in range(100):
        counts.request_finished(finished(method=f"MALLORY{number}", endpoint=UNROUTED, status=404))
    assert len(counts.tallies) == 1


def test_counting_costs_less_than_ten_microseconds() -> None:
    counts, request, times = RequestCounts(), finished(), 10_000
    began = time.process_time()
    for _ in range(times):
        counts.request_finished(request)
    assert (time.process_time() - began) / times < 10e-6


# --- Over HTTP ----------------------------------------------------------------------------------------------------


async def read_metrics(server: Server) -> tuple[int, str]:
    async with server.session.get(f"{server.base_url}/metrics") as response:
        return response.status, await response.text()


async def test_prometheus_reads_what_happened(server: Server) -> None:
    async with server.session.get(f"{server.base_url}/_matrix/client/versions"):
        pass
    status, text = await read_metrics(server)
    assert status == 200
    versions = 'method="GET"', 'endpoint="/_matrix/client/versions"', 'status="200"'
    line = next(each for each in text.splitlines() if each.startswith("voicechat_responses_total{"))
    assert all(label in line for label in versions)
    assert line.endswith(" 1.0")
    for name in ("voicechat_sql_connections ", "voicechat_syncs_waiting ", "process_resident_memory_bytes "):
        assert name in text
    assert 'voicechat_held{service="rooms",what="rooms"} 0.0' in text
    assert 'voicechat_request_seconds_bucket{endpoint="/_matrix/client/versions",le="+Inf",method="GET"} 1.0' in text


async def test_the_memory_report_is_for_administrators(server: Server) -> None:
    url = f"{server.base_url}/_voicechat/admin/v1/memory"
    async with server.session.get(url) as response:
        assert response.status == 401
    await server.application.accounts.new_accounts.create_account("root", "correct horse", admin=True)
    await server.application.accounts.new_accounts.create_account("alice", "correct horse")
    assert await report_for(server, "alice") == (403, None)
    status, report = await report_for(server, "root")
    assert status == 200
    assert report is not None
    assert report["process"]["resident_bytes"] > 10_000_000
    assert report["services"]["authenticator"]["tokens"] >= 1


async def report_for(server: Server, name: str) -> tuple[int, dict[str, dict[str, dict[str, int]]] | None]:
    login = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": name},
        "password": "correct horse",
    }
    async with server.session.post(f"{server.base_url}/_matrix/client/v3/login", json=login) as response:
        token = (await response.json())["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    async with server.session.get(f"{server.base_url}/_voicechat/admin/v1/memory", headers=headers) as response:
        return response.status, await response.json() if response.status == 200 else None


class TestElsewhere:
    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        return server_settings(tmp_path, metrics=MetricsSettings(allowed_networks=("192.0.2.0/24",)))

    async def test_metrics_are_refused_to_other_networks(self, server: Server) -> None:
        assert (await read_metrics(server))[0] == 403

    async def test_the_address_is_that_of_the_client_not_of_the_proxy(self, server: Server) -> None:
        headers = {"X-Forwarded-For": "192.0.2.77"}
        async with server.session.get(f"{server.base_url}/metrics", headers=headers) as response:
            assert response.status == 200


def test_an_ipv4_address_in_ipv6_clothes_is_the_same_address() -> None:
    from homeserver.observability.endpoints import is_within

    networks = [ipaddress.ip_network("127.0.0.0/8")]
    assert is_within("::ffff:127.0.0.1", networks)
    assert not is_within("::ffff:192.0.2.1", networks)
    assert not is_within("", networks)
