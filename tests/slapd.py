"""A real slapd with a few people in it, for tests of the LDAP sign-in."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from config.settings import LdapGroupSettings, LdapSettings, TlsSettings
from tests.federation.authority import Authority

SLAPD = shutil.which("slapd") or "/usr/sbin/slapd"
MODULES, SCHEMAS = Path("/usr/lib/ldap"), Path("/etc/ldap/schema")
IS_INSTALLED = Path(SLAPD).exists() and SCHEMAS.exists()
PEOPLE = "ou=people,dc=example,dc=org"
READER = "cn=reader,dc=example,dc=org"
# Alice, who is in groups with odd names; Bob, who is called like a filter; two of the same name; one without a name.
ENTRIES = r"""
dn: dc=example,dc=org
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: cn=reader,dc=example,dc=org
objectClass: person
cn: reader
sn: reader
userPassword: reads everything

dn: ou=people,dc=example,dc=org
objectClass: organizationalUnit
ou: people

dn: ou=groups,dc=example,dc=org
objectClass: organizationalUnit
ou: groups

dn: uid=alice,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: alice
cn: Alice Liddell
sn: Liddell
displayName: Alice L.
mail: alice@example.org
userPassword: through the looking glass

dn: cn=Bob (the * \\ builder)\, jr.,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: bob(*)
uid: bobby
cn: Bob (the * \ builder), jr.
sn: Builder
userPassword: can we fix it

dn: cn=Twin One,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: twin
cn: Twin One
sn: One
userPassword: two of a kind

dn: cn=Twin Two,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: twin
cn: Twin Two
sn: Two
userPassword: two of a kind

dn: uid=carol,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: carol
cn: Carol
sn: Carol
mail: carol@example.org
userPassword: carol in the directory

dn: cn=staff,ou=groups,dc=example,dc=org
objectClass: groupOfNames
cn: staff
member: uid=alice,ou=people,dc=example,dc=org
member: uid=carol,ou=people,dc=example,dc=org

dn: cn=R\2CD \2B (ops)*,ou=groups,dc=example,dc=org
objectClass: groupOfNames
cn: R,D + (ops)*
member: uid=alice,ou=people,dc=example,dc=org
member: cn=Bob (the * \\ builder)\, jr.,ou=people,dc=example,dc=org
"""


@dataclass(slots=True)
class Slapd:
    """Listens on 127.0.0.1. `stop` and `start` as often as a test likes; `freeze` makes it slow."""

    folder: Path
    authority: Authority
    port: int = 0
    tls_port: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None)

    def __post_init__(self) -> None:
        self.port, self.tls_port = _free_port(), _free_port()
        tls = self.authority.issue("localhost", "127.0.0.1")
        (self.folder / "data").mkdir()
        self._config.write_text(_config(self.folder, tls, self.authority.ca_file))
        add = [SLAPD, "-T", "add", "-f", str(self._config)]
        subprocess.run(add, input=ENTRIES.encode(), check=True, capture_output=True)

    @property
    def _config(self) -> Path:
        return self.folder / "slapd.conf"

    def start(self) -> None:
        """Ready for questions afterwards."""
        addresses = f"ldap://127.0.0.1:{self.port}/ ldaps://127.0.0.1:{self.tls_port}/"
        self._process = subprocess.Popen(
            [SLAPD, "-h", addresses, "-f", str(self._config), "-d", "0"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 20
        while not _listens(self.port):
            assert time.monotonic() < deadline, "slapd does not come up"
            time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def settings(self, **changes: object) -> LdapSettings:
        """What an administrator would write about it."""
        values: dict[str, object] = {
            "url": f"ldaps://localhost:{self.tls_port}",
            "ca_file": self.authority.ca_file,
            "bind_dn": READER,
            "bind_password": "reads everything",
            "base_dn": PEOPLE,
            "filter": "(|(uid={user})(mail={user}))",
            "timeout_ms": 3_000,
            "groups": LdapGroupSettings(base_dn="ou=groups,dc=example,dc=org"),
        }
        return LdapSettings(**{**values, **changes})  # type: ignore[arg-type]


@contextmanager
def running_slapd(folder: Path) -> Iterator[Slapd]:
    """Stopped afterwards, whatever happens."""
    slapd = Slapd(folder, Authority(folder))
    slapd.start()
    try:
        yield slapd
    finally:
        slapd.stop()


def _config(folder: Path, tls: TlsSettings, ca_file: Path) -> str:
    includes = "\n".join(f"include {SCHEMAS}/{name}.schema" for name in ("core", "cosine", "inetorgperson"))
    return f"""{includes}
modulepath {MODULES}
moduleload back_mdb
moduleload memberof
pidfile {folder}/pid
TLSCertificateFile {tls.certificate}
TLSCertificateKeyFile {tls.private_key}
TLSCACertificateFile {ca_file}
database mdb
suffix "dc=example,dc=org"
rootdn "cn=root,dc=example,dc=org"
directory {folder}/data
maxsize 10485760
index uid eq
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{READER}" read by anonymous auth by * none
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
