"""Puts the page together on the operator's machine: Element Call's embedded build, matrix-js-sdk, and our few files around them.

Nothing of Element Call is part of this project (its licence is another one); npm brings it here when the operator asks.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).resolve().parent / "source"
WASM = Path("node_modules/@matrix-org/matrix-sdk-crypto-wasm/pkg/matrix_sdk_crypto_wasm_bg.wasm")
ELEMENT_CALL = Path("node_modules/@element-hq/element-call-embedded/dist")
INSTALL_SECONDS = 600


class CannotInstall(Exception):  # noqa: N818 - read as a sentence by the command
    """The page cannot be made here; the message says why."""


def install(target: Path, npm: str | None = None) -> None:
    """Make the page anew in `target`, and put it there only when it is whole. Raises CannotInstall.

    `npm`: the program to use; the one on the PATH if not given.
    """
    found = npm or shutil.which("npm")
    if found is None:
        raise CannotInstall("npm is needed to fetch Element Call (Debian, Ubuntu: apt install nodejs npm).")
    build = target.with_name(f"{target.name}.build")
    fresh = target.with_name(f"{target.name}.new")
    for old in (build, fresh):
        shutil.rmtree(old, ignore_errors=True)
    shutil.copytree(SOURCE, build)
    try:
        _run([found, "ci", "--no-audit", "--no-fund", "--ignore-scripts"], build, Path(found).parent)
        _bundle(build, fresh, Path(found).parent)
        _collect(build, fresh)
    finally:
        shutil.rmtree(build, ignore_errors=True)
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)


def _bundle(build: Path, fresh: Path, programs: Path) -> None:
    esbuild = build / "node_modules" / ".bin" / "esbuild"
    arguments = ["page.js", "--bundle", "--format=esm", "--minify", "--target=es2022", f"--outfile={fresh / 'page.js'}"]
    _run([str(esbuild), *arguments, "--define:global=globalThis", "--log-level=warning"], build, programs)


def _collect(build: Path, fresh: Path) -> None:
    for name in ("index.html", "page.css"):
        shutil.copy(build / name, fresh / name)
    # The bundle looks for it beside itself (import.meta.url).
    (fresh / "pkg").mkdir()
    shutil.copy(build / WASM, fresh / "pkg" / WASM.name)
    shutil.copytree(build / ELEMENT_CALL, fresh / "element-call", ignore=shutil.ignore_patterns("*.map"))


def _run(command: list[str], directory: Path, programs: Path) -> None:
    path = f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"
    try:
        subprocess.run(  # noqa: S603 - fixed programs with fixed arguments
            command,
            cwd=directory,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        raise CannotInstall(f"{Path(command[0]).name} failed:\n{str(error.stderr)[-2000:]}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotInstall(f"{Path(command[0]).name} failed: {error}") from error
