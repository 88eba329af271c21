"""Alice runs a server and writes its configuration, sometimes wrongly."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import ConfigError
from config.load import load_settings
from config.settings import DAY_MS, Settings, TlsSettings

# Every key that outside test suites write, as they write it.
CONTRACT = """\
server_name: 127.0.0.1:18800
public_baseurl: http://127.0.0.1:8008
data_dir: /srv/voicechat
signing_key_path: keys/signing.key
database:
  url: postgresql://user:password@127.0.0.1:5432/name   # a comment
redis:
  url: redis://127.0.0.1:6379/0
listeners:
  - bind: 127.0.0.1
    port: 8008
    resources: [client, federation, keys, media, admin, voice, well_known]
  - bind: 127.0.0.1
    port: 8448
    resources: [client, federation, keys, media, admin]
    tls: {certificate: /etc/tls.crt, private_key: tls.key}
registration:
  enabled: true
  require_verification: false
  shared_secret: reg_secret
  guests: true
  recaptcha: {in_flow: false, siteverify_url: "https://example.org/verify", public_key: k, private_key: s}
passwords:
  hash_cost: minimum
rooms:
  default_version: "12"
  require_membership_for_aliases: false
room_directory: {public_without_auth: true, public_over_federation: true, allow_publish: true}
user_directory: {search_all_users: false}
server_notices: {localpart: _server, display_name: "Server Alert", room_name: "Server Alert"}
rate_limits: {enabled: false}
presence: {enabled: true}
federation:
  enabled: true
  ca_file: /etc/ca.crt
  ip_denylist: []
  retry: {initial: 0s, max: 1s}
  trusted_key_servers: []
outgoing_http:
  verify_tls: false
  ip_denylist: []
appservice_files: [/etc/a.yaml, b.yaml]
email: {smtp_host: 127.0.0.1, smtp_port: 2525, tls: none, from: homeserver@localhost}
cas: {server_url: "https://cas.example.org"}
media: {path: /srv/media, max_upload: 100M}
url_previews: {enabled: true, ip_denylist: []}
delayed_events: {max_delay: 24h}
log: {level: INFO, to: stdout}
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "config.yaml"
    file.write_text(text)
    return file


def refusal(folder: Path, text: str, **environment: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(written(folder, text), environment)
    return str(caught.value).replace(f"{folder}/", "")


def test_every_key_of_the_contract_is_understood(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, CONTRACT))
    assert (settings.server_name, settings.public_baseurl) == ("127.0.0.1:18800", "http://127.0.0.1:8008")
    assert (settings.data_dir, settings.signing_key_path) == (Path("/srv/voicechat"), tmp_path / "keys/signing.key")
    assert settings.database.url == "postgresql://user:password@127.0.0.1:5432/name"
    assert settings.redis.url == "redis://127.0.0.1:6379/0"
    plain, encrypted = settings.listeners
    assert (plain.bind, plain.port, plain.resources[-1], plain.tls) == ("127.0.0.1", 8008, "well_known", None)
    assert encrypted.resources == ("client", "federation", "keys", "media", "admin")
    assert encrypted.tls == TlsSettings(Path("/etc/tls.crt"), tmp_path / "tls.key")
    registration = settings.registration
    assert (registration.enabled, registration.require_verification, registration.guests) == (True, False, True)
    assert registration.shared_secret == "reg_secret"
    assert (registration.recaptcha.in_flow, registration.recaptcha.private_key) == (False, "s")
    assert settings.passwords.hash_cost == "minimum"
    assert (settings.rooms.default_version, settings.rooms.require_membership_for_aliases) == ("12", False)
    assert settings.room_directory.public_over_federation
    assert not settings.user_directory.search_all_users
    assert settings.server_notices.localpart == "_server"
    assert (settings.rate_limits.enabled, settings.presence.enabled) == (False, True)
    federation = settings.federation
    assert (federation.ca_file, federation.ip_denylist, federation.trusted_key_servers) == (Path("/etc/ca.crt"), (), ())
    assert (federation.retry.initial_ms, federation.retry.max_ms) == (0, 1000)
    assert (settings.outgoing_http.verify_tls, settings.outgoing_http.ip_denylist) == (False, ())
    assert settings.appservice_files == (Path("/etc/a.yaml"), tmp_path / "b.yaml")
    assert (settings.email.tls, settings.email.from_, settings.email.smtp_port) == (
        "none", "homeserver@localhost", 2525,
    )  # fmt: skip
    assert settings.cas.server_url == "https://cas.example.org"
    assert (settings.media.path, settings.media.max_upload) == (Path("/srv/media"), 100 * 1024 * 1024)
    assert (settings.url_previews.enabled, settings.url_previews.ip_denylist) == (True, ())
    assert settings.delayed_events.max_delay == DAY_MS
    assert (settings.log.level, settings.log.to) == ("INFO", "stdout")


def test_without_a_file_everything_has_a_default() -> None:
    settings = load_settings()
    assert settings.data_dir == Path.cwd() / "data"
    assert settings.listeners == Settings().listeners


def test_an_empty_section_is_a_section_of_defaults(tmp_path: Path) -> None:
    assert load_settings(written(tmp_path, "database:\nlog:\n")).database == Settings().database


def test_later_sources_win_key_by_key(tmp_path: Path) -> None:
    file = written(tmp_path, "rooms: {default_version: '10'}\nregistration: {enabled: false, guests: true}\n")
    environment = {"VOICECHAT_REGISTRATION__ENABLED": "true", "VOICECHAT_SERVER_NAME": "from.env", "HOME": "/x"}
    settings = load_settings(file, environment, {("server_name",): ("--server-name", "from.flag")})
    assert (settings.registration.enabled, settings.registration.guests) == (True, True)
    assert settings.rooms.default_version == "10"
    assert settings.server_name == "from.flag"


def test_lists_and_secrets_with_colons_in_the_environment() -> None:
    settings = load_settings(
        environment={
            "VOICECHAT_LISTENERS": "[{bind: '::', port: 80, resources: [client]}]",
            "VOICECHAT_FEDERATION__IP_DENYLIST": "[]",
            "VOICECHAT_EMAIL__PASSWORD": "a: {b",
            "VOICECHAT_DATABASE__URL": "",
        }
    )
    assert [(each.bind, each.port) for each in settings.listeners] == [("::", 80)]
    assert settings.federation.ip_denylist == ()
    assert settings.email.password == "a: {b"
    assert settings.database.url is None


def test_variables_that_kubernetes_and_the_tests_set_are_no_settings() -> None:
    load_settings(environment={"VOICECHAT_PORT": "tcp://10.0.0.1:80", "VOICECHAT_TEST_DATABASE_URL": "x"})


def test_an_unknown_key_is_named_with_its_line_and_its_neighbour(tmp_path: Path) -> None:
    text = "server_name: a\n\nregistration:\n  enabeld: true\n"
    assert refusal(tmp_path, text) == (
        "config.yaml, line 4: registration.enabeld is not a setting; did you mean enabled?"
    )


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    problems = refusal(tmp_path, "log: {level: LOUD}\nmedia:\n  max_upload: many\npresence: yes please\n").splitlines()
    assert sorted(problems) == [
        "config.yaml, line 1: log.level must be one of DEBUG, INFO, WARNING, ERROR, not 'LOUD'.",
        "config.yaml, line 3: media.max_upload must be a size such as 500K, 100M or 2G, not 'many'.",
        "config.yaml, line 4: presence has to be a section with keys such as enabled.",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("listeners:\n  - port: 99999\n", "line 2: listeners[0].port must be at most 65535"),
        ("listeners:\n  - resources: [client, clients]\n", "line 2: listeners[0].resources must be one of"),
        ("listeners: 8008\n", "line 1: listeners has to be a list"),
        ("delayed_events: {max_delay: 24}\n", "must be a duration such as"),
        ("federation: {ip_denylist: [loopback]}\n", "must be a network such as"),
        ("server_name: https://example.org\n", "must be a domain or an address"),
        ("server_name:\n", "server_name needs a value"),
        ("public_baseurl: example.org\n", "begins with http:// or https://"),
        ("registration: {enabled: maybe}\n", "must be true or false"),
        ("server_name: a\nserver_name: b\n", "line 2: server_name is given twice"),
        ("a: [\n", "line 2: this is not YAML"),
        ("- a\n", "the file has to be a section"),
    ],
)
def test_refusals(tmp_path: Path, text: str, words: str) -> None:
    assert words in refusal(tmp_path, text)


def test_a_secret_is_not_repeated_in_the_message(tmp_path: Path) -> None:
    assert "hunter2" not in refusal(tmp_path, "database: {url: 'mysql://alice:hunter2@db/x'}\n")


def test_an_unknown_variable_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, "", VOICECHAT_REGISTRATION__ENABELD="1")
    assert "VOICECHAT_REGISTRATION__ENABELD" in message
    assert "did you mean enabled?" in message


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read: No such file or directory\.$"):
        load_settings(tmp_path / "none.yaml")
