"""Installs each real client into an environment of its own, under `.interop/` of the project; once, then remembered.

Nothing of these clients enters the product's own environment: their pinned versions would fight with ours, and one of them
is built on a deprecated library.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
DRIVERS = Path(__file__).resolve().parent / "drivers"
CACHE = PROJECT / ".interop"
OLDEST_NODE = 22
INSTALL_SECONDS = 900


class Unavailable(Exception):  # noqa: N818
    """The client cannot be installed here; the message is the sentence shown beside the skipped story."""


def nio_command() -> list[str]:
    python = _python_environment("nio", DRIVERS / "requirements-nio.txt")
    return [str(python), str(DRIVERS / "nio_driver.py")]


def mautrix_command() -> list[str]:
    requirements = DRIVERS / "requirements-mautrix.txt"
    try:
        python = _python_environment("mautrix", requirements)
    except Unavailable:
        python = _python_environment("mautrix-plain", requirements, without=("python-olm",))
    return [str(python), str(DRIVERS / "mautrix_driver.py")]


def js_command() -> list[str]:
    node = _node()
    project = CACHE / "js"
    source = DRIVERS / "js"
    _once(project, _digest(source / "package-lock.json"), lambda: _npm_ci(node, source, project))
    with _alone(project):
        for file in source.glob("*.mjs"):
            _copy_if_other(file, project / file.name)
    return [str(node), str(project / "driver.mjs")]


def oidc_provider_command() -> list[str]:
    """A certified OpenID provider."""
    node, project, source = _node(), CACHE / "oidc", DRIVERS / "oidc"
    _once(project, _digest(source / "package-lock.json"), lambda: _npm_ci(node, source, project))
    with _alone(project):
        _copy_if_other(source / "provider.mjs", project / "provider.mjs")
    return [str(node), str(project / "provider.mjs")]


def synadm_program() -> Path:
    """The command line tool of administrators, as it is published."""
    return _python_environment("synadm", DRIVERS / "requirements-synadm.txt").with_name("synadm")


def synapse_python() -> Path:
    """The Python that can run Synapse: VOICECHAT_INTEROP_SYNAPSE_PYTHON, else one installed here."""
    given = os.environ.get("VOICECHAT_INTEROP_SYNAPSE_PYTHON")
    return Path(given) if given else _python_environment("synapse", DRIVERS / "requirements-synapse.txt")


def _python_environment(name: str, requirements: Path, without: tuple[str, ...] = ()) -> Path:
    directory = CACHE / name
    python = directory / "bin" / "python"

    def install() -> None:
        venv.create(directory, with_pip=True, clear=True)
        lines = requirements.read_text().splitlines()
        wanted = [line for line in lines if line and not line.startswith(("#", *without))]
        # A wheel or nothing: building libolm would need a compiler that a tester need not have.
        _run([str(python), "-m", "pip", "install", "--quiet", "--only-binary", "python-olm", *wanted], directory, name)

    _once(directory, _digest(requirements) + sys.version, install)
    return python


def _node() -> Path:
    """Node.js 22 or newer: the machine's own, else the one that the package index carries as a wheel."""
    found = shutil.which("node")
    if found and _major_version(found) >= OLDEST_NODE:
        return Path(found)
    try:
        return _python_environment("node", DRIVERS / "requirements-node.txt").with_name("node")
    except Unavailable:
        raise Unavailable(f"matrix-js-sdk needs Node.js {OLDEST_NODE} or newer, and there is none to be had") from None


def _major_version(node: str) -> int:
    answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    digits = answer.stdout.strip().removeprefix("v").split(".")[0]
    return int(digits) if digits.isdigit() else 0


def _npm_ci(node: Path, source: Path, project: Path) -> None:
    shutil.rmtree(project, ignore_errors=True)
    project.mkdir(parents=True)
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(source / name, project)
    path = f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    _run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], project, "matrix-js-sdk", {"PATH": path})


def _run(command: list[str], directory: Path, what: str, environment: dict[str, str] | None = None) -> None:
    executable = shutil.which(command[0], path=(environment or {}).get("PATH")) or command[0]
    try:
        subprocess.run(
            [executable, *command[1:]],
            cwd=directory,
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", "") or ""
        raise Unavailable(f"{what} could not be installed: {error}\n{said[-2000:]}") from error


def _copy_if_other(source: Path, copy: Path) -> None:
    """Replaces the copy at once, for a driver of another test process may just be reading it."""
    if copy.exists() and copy.read_bytes() == source.read_bytes():
        return
    fresh = copy.with_suffix(".new")
    shutil.copy(source, fresh)
    fresh.replace(copy)


def _once(directory: Path, identity: str, install: Callable[[], None]) -> None:
    """Runs `install` unless the directory already holds exactly this; the stamp is written last."""
    stamp = directory / "installed"
    with _alone(directory):
        if stamp.exists() and stamp.read_text() == identity:
            return
        install()
        stamp.write_text(identity)


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """The suite runs in several processes, of which one installs while the others wait."""
    CACHE.mkdir(exist_ok=True)
    with directory.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _digest(*files: Path) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
