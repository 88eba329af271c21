"""Every setting there is, as frozen dataclasses: one class a section of the YAML file, one field a key.

A field made with `key(...)` carries its explanation; the loader, the environment names, the checks and the commented
sample all follow from here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal


def key(default: Any, doc: str, **checks: Any) -> Any:
    """A setting with its default and the sentence that explains it. `checks` are read by `load.py`.

    `unit`: "duration" (ms from "15m"; a field `x_ms` is the key `x`), "size" (bytes from "100M"), "network", "http",
    "postgresql", "redis", "server_name", "log_target"; `minimum`, `maximum`, `choices`, `secret=True`, `name`.
    """
    metadata = {"doc": doc, **checks}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS
MEBIBYTE = 1024 * 1024
PRESETS = ("private_chat", "trusted_private_chat", "public_chat")
RESOURCES = ("client", "federation", "keys", "media", "admin", "voice", "well_known")


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    url: str | None = key(
        None,
        "postgresql://user:password@host:port/name. Without it an embedded PostgreSQL runs.",
        secret=True,
        unit="postgresql",
    )
    max_connections: int = key(10, "Connections this process may hold.", minimum=2, maximum=200)


@dataclass(frozen=True, slots=True)
class RedisSettings:
    url: str | None = key(
        None, "redis://host:port/0. Only needed with more than one process.", secret=True, unit="redis"
    )


@dataclass(frozen=True, slots=True)
class TlsSettings:
    certificate: Path = key(Path(), "PEM file with the certificate chain.")
    private_key: Path = key(Path(), "PEM file with the private key.")


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    bind: str = key("127.0.0.1", "Address to listen on; :: and 0.0.0.0 mean all.")
    port: int = key(8008, "Port to listen on.", minimum=0, maximum=65535)
    resources: tuple[str, ...] = key(RESOURCES, "What is served here.", choices=RESOURCES)
    tls: TlsSettings | None = key(None, "Serve TLS ourselves instead of behind a proxy.")
    trusted_proxies: tuple[str, ...] = key(
        ("127.0.0.0/8", "::1/128"), "Networks whose X-Forwarded-For is believed.", unit="network"
    )


@dataclass(frozen=True, slots=True)
class RecaptchaSettings:
    in_flow: bool = key(False, "Everybody who registers solves a captcha.")
    siteverify_url: str = key(
        "https://www.recaptcha.net/recaptcha/api/siteverify", "Where answers are verified.", unit="http"
    )
    public_key: str | None = key(None, "Site key.")
    private_key: str | None = key(None, "Secret key.", secret=True)


@dataclass(frozen=True, slots=True)
class PolicyTextSettings:
    language: str = key("en", "Language of the text, as in BCP 47.")
    name: str = key("", "What it is called in that language.")
    url: str | None = key(None, "Where it can be read.", unit="http")


@dataclass(frozen=True, slots=True)
class PolicySettings:
    id: str = key("", "Name of the policy, such as privacy_policy.")
    version: str = key("1.0", "With another version, it is another text to accept.")
    texts: tuple[PolicyTextSettings, ...] = key((), "The policy in each language.")


@dataclass(frozen=True, slots=True)
class RegistrationSettings:
    enabled: bool = key(False, "Whether anybody may make an account.")
    require_verification: bool = key(
        True, "Ask for a registration token. false: a dummy stage alone completes registration."
    )
    require_email: bool = key(False, "Everybody who registers confirms an e-mail address; see email.")
    email_domains: tuple[str, ...] = key(
        (),
        "Only who has an address of these domains registers, such as example.org or *.example.org; [] means everybody.",
    )
    email_domains_denied: tuple[str, ...] = key((), "Nobody registers with an address of these domains.")
    shared_secret: str | None = key(
        None, "Lets tools with this secret make accounts at /_synapse/admin/v1/register.", secret=True
    )
    guests: bool = key(False, "Whether guests are let in.")
    recaptcha: RecaptchaSettings = key(RecaptchaSettings, "Captcha in the registration form.")
    policies: tuple[PolicySettings, ...] = key((), "What everybody who registers has to accept.")


@dataclass(frozen=True, slots=True)
class BreachedSettings:
    file: Path | None = key(None, "Sorted list of SHA-1, as Have I Been Pwned gives out; its passwords are not taken.")
    range_url: str | None = key(
        None, "Address of a range API, to be asked with five digits of the SHA-1 of a new password.", unit="http"
    )


@dataclass(frozen=True, slots=True)
class PasswordSettings:
    hash_cost: Literal["default", "minimum"] = key("default", "minimum is for tests only.")
    minimum_length: int = key(8, "Characters a new password must have.", minimum=1, maximum=512)
    minimum_kinds: int = key(
        1, "How many it must have of small letters, capitals, digits and other characters.", minimum=1, maximum=4
    )
    breached: BreachedSettings = key(BreachedSettings, "Passwords that others have lost already.")


@dataclass(frozen=True, slots=True)
class SecondFactorSettings:
    required_of: Literal["nobody", "admins", "everybody"] = key(
        "nobody", "Who cannot sign in with a password alone; everybody may have a second factor."
    )


@dataclass(frozen=True, slots=True)
class SessionSettings:
    access_token_lifetime_ms: int = key(15 * MINUTE_MS, "Of clients that can refresh.", unit="duration")
    refresh_token_lifetime_ms: int = key(7 * DAY_MS, "Of clients that can refresh.", unit="duration")
    token_in_query: bool = key(True, "Accept ?access_token=, which the specification deprecates.")


@dataclass(frozen=True, slots=True)
class ValiditySettings:
    period_ms: int | None = key(
        None, "How long an account lasts before it has to be renewed, such as 365d; for ever if not given.",
        unit="duration", minimum=DAY_MS,
    )  # fmt: skip
    notice_ms: int = key(
        7 * DAY_MS, "How long before the end a mail with a link is sent, where there is mail.", unit="duration"
    )


@dataclass(frozen=True, slots=True)
class AccountSettings:
    hide_ended: bool = key(False, "Do not tell strangers that there was an account of a name: signing in says so else.")
    validity: ValiditySettings = key(ValiditySettings, "Accounts that end.")


@dataclass(frozen=True, slots=True)
class RoomSettings:
    default_version: str = key("12", "Version of new rooms.")
    require_membership_for_aliases: bool = key(True, "Only members of a room may give it an alias.")
    encrypt_by_default: tuple[str, ...] = key(
        (), "Presets whose rooms are encrypted from the start, such as [private_chat].", choices=PRESETS
    )
    keep_redacted: int = key(
        7 * DAY_MS,
        "How long moderators of a room can see what redacted messages said; 0 to keep nothing.",
        unit="duration",
    )


@dataclass(frozen=True, slots=True)
class RoomDirectorySettings:
    public_without_auth: bool = key(False, "Show the directory to people who are not signed in.")
    public_over_federation: bool = key(False, "Show the directory to other servers.")
    allow_publish: bool = key(True, "Whether users may list rooms in the directory.")


@dataclass(frozen=True, slots=True)
class UserDirectorySettings:
    search_all_users: bool = key(False, "Find everybody on this server, not only people one shares a room with.")


@dataclass(frozen=True, slots=True)
class ServerNoticesSettings:
    localpart: str | None = key(None, "Localpart of the user who sends notices; none without it.")
    display_name: str = key("Server Alert", "Name of that user.")
    room_name: str = key("Server Alert", "Name of the rooms with notices.")


@dataclass(frozen=True, slots=True)
class RateSettings:
    what: str = key("", "Class of requests, such as message or login; docs/operating/rate-limits.md has them all.")
    burst: int = key(50, "How many at once.", minimum=1, maximum=1_000_000)
    interval_ms: int = key(1000, "One more after each such time.", unit="duration", minimum=1)


@dataclass(frozen=True, slots=True)
class RateLimitSettings:
    enabled: bool = key(True, "false: no limits of any kind.")
    rates: tuple[RateSettings, ...] = key((), "Other rates than the built-in ones.")
    exempt_admins: bool = key(True, "Whether administrators may do things as often as they like.")
    exempt_users: tuple[str, ...] = key((), "Matrix ids of others who may, such as @bot:example.org.")


@dataclass(frozen=True, slots=True)
class PresenceSettings:
    enabled: bool = key(True, "Whether people see who is online.")


@dataclass(frozen=True, slots=True)
class RetrySettings:
    initial_ms: int = key(10_000, "First pause before a server that failed is tried again.", unit="duration")
    max_ms: int = key(DAY_MS, "Longest pause.", unit="duration")


PRIVATE_NETWORKS = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
    "::/127", "2001:db8::/32", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FederationSettings:
    enabled: bool = key(True, "Whether other servers can talk to this one.")
    allow: tuple[str, ...] = key((), "Only these servers, such as example.org or *.example.org; [] means all.")
    deny: tuple[str, ...] = key((), "Not these servers, whatever allow says.")
    ca_file: Path | None = key(None, "Extra trusted CA, for federation only.")
    ip_denylist: tuple[str, ...] = key(PRIVATE_NETWORKS, "Networks never contacted; [] allows all.", unit="network")
    retry: RetrySettings = key(RetrySettings, "Back-off of unreachable servers.")
    trusted_key_servers: tuple[str, ...] = key((), "Notaries asked for other servers' keys.")


@dataclass(frozen=True, slots=True)
class OutgoingHttpSettings:
    verify_tls: bool = key(True, "Check certificates of push gateways, appservices, identity servers and the like.")
    ip_denylist: tuple[str, ...] = key(PRIVATE_NETWORKS, "Networks never contacted; [] allows all.", unit="network")


@dataclass(frozen=True, slots=True)
class EmailSettings:
    smtp_host: str | None = key(None, "Mail server; no mail is sent without it.")
    smtp_port: int = key(587, "Its port.", minimum=1, maximum=65535)
    tls: Literal["none", "starttls", "tls"] = key("starttls", "How the connection is encrypted.")
    username: str | None = key(None, "Where the mail server wants a login.")
    password: str | None = key(None, "Where the mail server wants a login.", secret=True)
    verify_tls: bool = key(True, "Check its certificate.")
    ca_file: Path | None = key(None, "Extra trusted CA, for the mail server only.")
    timeout_ms: int = key(30_000, "How long it may take over an answer.", unit="duration", minimum=1_000)
    from_: str = key("VoiceChat <noreply@localhost>", "Sender of our mail.", name="from")
    app_name: str = key("VoiceChat", "What mail calls this server.")
    templates: Path | None = key(None, "Directory with mail texts that replace ours: see docs/operating/mail.md.")
    link_lifetime_ms: int = key(60 * MINUTE_MS, "How long links in mails work.", unit="duration", minimum=MINUTE_MS)
    domains: tuple[str, ...] = key((), "Only addresses of these domains may be added to accounts; [] means all.")
    hide_accounts: bool = key(
        False, "Do not tell strangers whether somebody here has an address: a mail tells its owner instead."
    )
    next_link_domains: tuple[str, ...] = key((), "Hosts at which a confirmed address may lead back into a client.")
    confirm_with_button: bool = key(True, "false: opening the link in a browser is enough, also for what scans mail.")


@dataclass(frozen=True, slots=True)
class IdentityServerSettings:
    allow: tuple[str, ...] = key((), "Only these identity servers are asked for our users; [] means any they name.")


COLLISIONS_DOC = "Where the name of who comes first is taken: ask him, add a number, refuse him, or adopt the account."


@dataclass(frozen=True, slots=True)
class ClaimSettings:
    localpart: tuple[str, ...] = key(
        ("preferred_username", "nickname", "{email|local}"), "User name of a new account: the first of these claims."
    )
    display_name: tuple[str, ...] = key(("preferred_username", "name", "email"), "Name that others see.")
    avatar: tuple[str, ...] = key(("picture", "avatar_url"), "Address of a picture.")
    email: tuple[str, ...] = key(("email",), "E-mail address.")
    groups: tuple[str, ...] = key(("groups", "roles"), "Names of groups.")


@dataclass(frozen=True, slots=True)
class OidcProviderSettings:
    id: str = key("", "Short name, part of addresses: a-z, 0-9, '-' and '_'. Can never be changed.")
    profile: str | None = key(
        None, "What is known of this kind: authentik, keycloak, entra, okta, google; other keys overrule it."
    )
    name: str = key("", "What people see on the button.")
    brand: str | None = key(None, "Brand of the button, such as google; see the identity providers of m.login.sso.")
    icon: str | None = key(None, "mxc:// address of its picture.")
    issuer: str = key("", "Exactly as the provider writes it, such as https://id.example.org/realms/main.")
    client_id: str = key("", "What the provider calls this server.")
    client_secret: str | None = key(None, "Its secret there.", secret=True)
    client_authentication: Literal["client_secret_basic", "client_secret_post", "none"] = key(
        "client_secret_basic", "How this server proves who it is."
    )
    scopes: tuple[str, ...] = key(("openid", "profile", "email"), "What the provider is asked for.")
    algorithms: tuple[str, ...] = key(("RS256", "ES256", "PS256"), "How its tokens may be signed.")
    userinfo: bool = key(True, "Ask for what it knows of somebody beside the token.")
    parameters: tuple[str, ...] = key((), "More for its sign-in page, such as [prompt=select_account].")
    claims: ClaimSettings = key(
        ClaimSettings, "Which claims stand for what; {given_name} {family_name} puts some together."
    )
    registers: bool = key(True, "Who comes first gets an account.")
    collisions: Literal["ask", "number", "refuse", "adopt"] = key("ask", COLLISIONS_DOC)
    update_profile: bool = key(False, "Take the name over at each sign-in, not only at the first.")
    trust_email: bool = key(True, "Addresses that the provider calls verified need no mail of ours.")
    allowed_groups: tuple[str, ...] = key((), "Only people of these groups get in; [] means everybody.")


@dataclass(frozen=True, slots=True)
class SsoSettings:
    providers: tuple[OidcProviderSettings, ...] = key((), "OpenID Connect providers; see docs/operating/sign-in.md.")
    trusted_clients: tuple[str, ...] = key(
        (), "Clients that people are sent back to without asking, such as https://app.element.io/."
    )
    ip_denylist: tuple[str, ...] = key((), "Networks in which no provider is asked.", unit="network")


@dataclass(frozen=True, slots=True)
class CasClaimSettings:
    localpart: tuple[str, ...] = key(("user",), "User name of a new account: the first of these attributes.")
    display_name: tuple[str, ...] = key(("displayName", "name", "user"), "Name that others see.")
    avatar: tuple[str, ...] = key((), "Address of a picture.")
    email: tuple[str, ...] = key(("mail", "email"), "E-mail address.")
    groups: tuple[str, ...] = key(("groups", "memberOf"), "Names of groups.")


@dataclass(frozen=True, slots=True)
class CasSettings:
    server_url: str | None = key(None, "CAS server for single sign-on.", unit="http")
    name: str = key("CAS", "What people see on the button.")
    registers: bool = key(True, "Who comes first gets an account.")
    collisions: Literal["ask", "number", "refuse", "adopt"] = key("ask", COLLISIONS_DOC)
    bound_to_browser: bool = key(
        True, "Take tickets only from browsers that asked for them here. false: for test suites, and nothing else."
    )
    claims: CasClaimSettings = key(CasClaimSettings, "Which attributes stand for what; user is the name.")


@dataclass(frozen=True, slots=True)
class LdapAttributeSettings:
    id: str = key("entryUUID", "Never changes; objectGUID in Active Directory.")
    localpart: tuple[str, ...] = key(("uid", "sAMAccountName"), "User name of a new account: the first of these.")
    display_name: tuple[str, ...] = key(("displayName", "cn"), "Name that others see.")
    email: tuple[str, ...] = key(("mail",), "E-mail address.")
    member_of: str | None = key("memberOf", "Names the groups of a person by their whole names.")


@dataclass(frozen=True, slots=True)
class LdapGroupSettings:
    base_dn: str | None = key(None, "Where groups are; only member_of is read without it.")
    filter: str = key("(member={dn})", "Finds the groups of a person; {dn} and {user} are replaced.")
    name: str = key("cn", "Attribute with the name of a group.")


@dataclass(frozen=True, slots=True)
class LdapSettings:
    url: str | None = key(None, "ldaps://host or ldap://host; no directory is asked without it.")
    start_tls: bool = key(True, "Encrypt connections of ldap://.")
    verify_tls: bool = key(True, "Check its certificate.")
    ca_file: Path | None = key(None, "Trusted CA, for the directory only.")
    timeout_ms: int = key(5_000, "How long it may take over an answer.", unit="duration", minimum=100, maximum=60_000)
    connections: int = key(4, "How many people are looked up at a time.", minimum=1, maximum=50)
    bind_dn: str | None = key(None, "Who looks people up; none: anybody may.")
    bind_password: str | None = key(None, "His password.", secret=True)
    base_dn: str = key("", "Where people are, such as ou=people,dc=example,dc=org.")
    filter: str = key("(uid={user})", "Finds a person by what he calls himself; {user} is replaced.")
    attributes: LdapAttributeSettings = key(LdapAttributeSettings, "Which attributes stand for what.")
    groups: LdapGroupSettings = key(LdapGroupSettings, "Groups that are searched for.")
    registers: bool = key(True, "Who comes first gets an account.")
    collisions: Literal["number", "refuse", "adopt"] = key(
        "refuse", "Where the name of who comes first is taken: add a number, refuse him, or adopt the account."
    )
    update_profile: bool = key(False, "Take the name over at each sign-in, not only at the first.")
    trust_email: bool = key(True, "Addresses in the directory need no mail of ours.")
    allowed_groups: tuple[str, ...] = key((), "Only people of these groups get in; [] means everybody.")


@dataclass(frozen=True, slots=True)
class MediaSettings:
    path: Path | None = key(None, "Where files are kept; inside data_dir if not given.")
    max_upload: int = key(
        100 * MEBIBYTE, "Largest file that may be uploaded, or fetched from another server.", unit="size"
    )
    remote_cache: int = key(
        10 * 1024 * MEBIBYTE,
        "For files of other servers, thumbnails included; who was not asked for longest goes first.",
        unit="size",
        minimum=MEBIBYTE,
    )


@dataclass(frozen=True, slots=True)
class UrlPreviewSettings:
    enabled: bool = key(False, "Whether the server looks at links for its users.")
    ip_denylist: tuple[str, ...] = key(PRIVATE_NETWORKS, "Networks never contacted; [] allows all.", unit="network")
    host_denylist: tuple[str, ...] = key((), "Hosts never asked, such as intranet.example.org or *.example.org.")
    languages: str = key("en, *;q=0.5", "Which languages pages are asked for in, as Accept-Language has it.")
    max_page: int = key(MEBIBYTE, "How much of a page is read.", unit="size", minimum=1024, maximum=16 * MEBIBYTE)
    max_picture: int = key(
        5 * MEBIBYTE, "Largest picture of a page that is fetched.", unit="size", minimum=1024, maximum=50 * MEBIBYTE
    )
    timeout_ms: int = key(
        10_000, "For a page, and again for its picture.", unit="duration", minimum=100, maximum=MINUTE_MS
    )
    lifetime_ms: int = key(DAY_MS, "When a page is looked at again.", unit="duration", minimum=MINUTE_MS)
    picture_cache: int = key(
        1024 * MEBIBYTE, "For pictures of pages; the oldest go first.", unit="size", minimum=MEBIBYTE
    )


@dataclass(frozen=True, slots=True)
class DelayedEventSettings:
    max_delay: int = key(DAY_MS, "Longest delay a client may ask for.", unit="duration")


@dataclass(frozen=True, slots=True)
class AudioSettings:
    bitrate: int = key(64_000, "Opus bits per second; channels may choose another.", minimum=24_000, maximum=96_000)
    frame_ms: int = key(20, "Milliseconds of sound in a packet.", minimum=10, maximum=60)


@dataclass(frozen=True, slots=True)
class TurnSettings:
    uris: tuple[str, ...] = key((), "turn: and turns: URIs told to clients; none without them.")
    shared_secret: str | None = key(None, "static-auth-secret of coturn.", secret=True)
    lifetime_ms: int = key(DAY_MS, "How long credentials are valid.", unit="duration")


@dataclass(frozen=True, slots=True)
class LiveKitSettings:
    region: str = key("default", "Name of this cluster; the first one serves channels without a region.")
    url: str = key("", "wss:// URL at which clients reach it.")
    api_url: str | None = key(None, "http:// URL at which we reach it, where it is another one.", unit="http")
    api_key: str = key("", "Key of livekit.yaml.")
    api_secret: str = key("", "Its secret.", secret=True)


@dataclass(frozen=True, slots=True)
class VoiceSettings:
    enabled: bool = key(True, "Whether there are calls.")
    backend: Literal["embedded", "livekit"] = key("embedded", "Who forwards: our own workers, or LiveKit.")
    bind: str = key("::", "Address of the media sockets; :: and 0.0.0.0 mean all.")
    port: int = key(
        10000, "First media port, UDP and TCP; worker n uses port + n. 0: any (tests).", minimum=0, maximum=65000
    )
    workers: int | None = key(
        None, "Processes that forward media; one per core if not given, 0: inside the server.", minimum=0, maximum=100
    )
    advertise: tuple[str, ...] = key((), "Addresses told to clients; found out if not given.")
    max_participants: int = key(50, "In one voice channel, where it sets no limit itself.", minimum=2, maximum=1000)
    top_speakers: int = key(5, "How many are heard at once in rooms above the next number.", minimum=1, maximum=50)
    top_speakers_above: int = key(20, "Rooms with more open microphones forward the loudest only.", minimum=2)
    audio: AudioSettings = key(AudioSettings, "Sound.")
    turn: TurnSettings = key(TurnSettings, "TURN server for restrictive networks and calls between two people.")
    livekit: tuple[LiveKitSettings, ...] = key((), "LiveKit clusters, with backend: livekit.")


@dataclass(frozen=True, slots=True)
class LogSettings:
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = key("INFO", "How much is written.")
    to: str = key("stdout", "stdout, stderr, or the path of a file.", unit="log_target")


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    enabled: bool = key(True, "Serve /metrics for Prometheus to the networks below.")
    allowed_networks: tuple[str, ...] = key(("127.0.0.0/8", "::1/128"), "Who may read /metrics.", unit="network")


@dataclass(frozen=True, slots=True)
class AuditSettings:
    keep_ms: int = key(365 * DAY_MS, "How long it is remembered who did what.", unit="duration", minimum=DAY_MS)


@dataclass(frozen=True, slots=True)
class WellKnownSettings:
    server: str | None = key(None, "host:port of the federation listener, if it is not server_name:8448.")
    support_page: str | None = key(None, "A page for people who need help.", unit="http")
    admin_contact: str | None = key(None, "Matrix id or mail address of the administrator.")
    policy_server_key: str | None = key(None, "Ed25519 public key, base64, of the policy server behind this name.")


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration."""

    server_name: str = key(
        "localhost", "The part after the colon in user ids. Can never be changed.", unit="server_name"
    )
    public_baseurl: str | None = key(None, "URL at which clients reach this server.", unit="http")
    data_dir: Path = key(Path("data"), "Where everything lives that is not configured elsewhere.")
    signing_key_path: Path | None = key(None, "Made at the first start; inside data_dir if not given.")
    database: DatabaseSettings = key(DatabaseSettings, "PostgreSQL.")
    redis: RedisSettings = key(RedisSettings, "Redis.")
    listeners: tuple[ListenerSettings, ...] = key((ListenerSettings(),), "Where we listen.")
    registration: RegistrationSettings = key(RegistrationSettings, "Who may make an account.")
    passwords: PasswordSettings = key(PasswordSettings, "Passwords.")
    second_factor: SecondFactorSettings = key(SecondFactorSettings, "Codes of authenticator apps beside passwords.")
    sessions: SessionSettings = key(SessionSettings, "Tokens.")
    accounts: AccountSettings = key(AccountSettings, "Accounts.")
    rooms: RoomSettings = key(RoomSettings, "Rooms.")
    room_directory: RoomDirectorySettings = key(RoomDirectorySettings, "The public directory of rooms.")
    user_directory: UserDirectorySettings = key(UserDirectorySettings, "The directory of users.")
    server_notices: ServerNoticesSettings = key(ServerNoticesSettings, "Notices from the administrators.")
    rate_limits: RateLimitSettings = key(RateLimitSettings, "How often one may ask.")
    presence: PresenceSettings = key(PresenceSettings, "Presence.")
    federation: FederationSettings = key(FederationSettings, "Other servers.")
    outgoing_http: OutgoingHttpSettings = key(OutgoingHttpSettings, "Requests this server makes.")
    appservice_files: tuple[Path, ...] = key((), "Registration files of application services.")
    email: EmailSettings = key(EmailSettings, "Mail.")
    identity_servers: IdentityServerSettings = key(IdentityServerSettings, "Servers that know whose an address is.")
    sso: SsoSettings = key(SsoSettings, "Single sign-on with OpenID Connect.")
    cas: CasSettings = key(CasSettings, "Single sign-on with CAS.")
    ldap: LdapSettings = key(LdapSettings, "A directory that knows passwords, such as Active Directory.")
    media: MediaSettings = key(MediaSettings, "Files.")
    url_previews: UrlPreviewSettings = key(UrlPreviewSettings, "Previews of links.")
    delayed_events: DelayedEventSettings = key(DelayedEventSettings, "Delayed events.")
    voice: VoiceSettings = key(VoiceSettings, "Calls.")
    log: LogSettings = key(LogSettings, "The log.")
    metrics: MetricsSettings = key(MetricsSettings, "Metrics.")
    audit: AuditSettings = key(AuditSettings, "What administrators do is recorded.")
    well_known: WellKnownSettings = key(WellKnownSettings, "/.well-known/matrix.")
