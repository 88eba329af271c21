"""`config check` and `doctor` look at the mail server before people do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from config.settings import EmailSettings, RegistrationSettings, Settings
from homeserver.commands.config import problems_of
from homeserver.commands.doctor import examine
from tests.federation.authority import Authority
from tests.mail import mail_server

GOOD: dict[str, Any] = {"smtp_host": "mail.test", "from_": "Us <us@test>"}


def settings(tmp_path: Path, email: dict[str, Any], **registration: Any) -> Settings:
    return Settings(data_dir=tmp_path, email=EmailSettings(**email), registration=RegistrationSettings(**registration))


@pytest.mark.parametrize(
    ("email", "problem"),
    [
        ({**GOOD, "from_": "VoiceChat"}, "email.from"),
        ({**GOOD, "ca_file": Path("/nowhere/ca.pem")}, "email.ca_file"),
        ({**GOOD, "templates": Path("/nowhere")}, "email.templates"),
        ({**GOOD, "username": "us"}, "go together"),
        ({**GOOD, "username": "us", "password": "hunter2", "tls": "none"}, "in the clear"),
    ],
)
def test_what_cannot_work_is_told(tmp_path: Path, email: dict[str, Any], problem: str) -> None:
    [found] = problems_of(settings(tmp_path, email))
    assert problem in found
    assert "hunter2" not in found


def test_templates_that_nobody_can_read_are_told(tmp_path: Path) -> None:
    (tmp_path / "password_reset.txt").write_bytes(b"\xff\xfe")
    (tmp_path / "pasword_reset.html").write_text("<p>$link</p>")
    (tmp_path / "layout.html").write_text("$content")
    found = list(problems_of(settings(tmp_path, {**GOOD, "templates": tmp_path})))
    assert ["password_reset.txt cannot be read" in found[0], "pasword_reset.html" in found[1]] == [True, True]
    assert len(found) == 2


def test_what_works_is_no_problem(tmp_path: Path) -> None:
    assert list(problems_of(settings(tmp_path, GOOD, require_email=True))) == []
    assert list(problems_of(settings(tmp_path, {}))) == []
    assert ["require_email" in each for each in problems_of(settings(tmp_path, {}, require_email=True))] == [True]


async def test_the_doctor_knocks_at_the_mail_server(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with mail_server(starttls=authority.context("127.0.0.1")) as mail:
        login = {"tls": "starttls", "username": "us", "ca_file": authority.ca_file}
        for password, well in (("mail password", True), ("hunter2", False)):
            email = mail.settings(**login, password=password)
            findings = [each async for each in examine(Settings(data_dir=tmp_path, email=email, listeners=()))]
            [found] = [each for each in findings if "mail server" in each.sentence]
            assert found.well is well, found.sentence
            assert "hunter2" not in found.sentence
    assert mail.received == []
