"""`test`: the everyday suite. Style, types, layers, then the tests; `--all` adds the heavy suites.

With a test's path among the arguments only pytest runs: whoever works on one test wants that answer and no other.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

HELP = "run the everyday suite; --all adds the heavy ones; other arguments go to pytest"
ROOT = Path(__file__).parents[2]
HEAVY = ("interop", "conformance", "faults", "fuzz")
CHECKS = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy",),
    ("lint-imports",),
)


def add_arguments(parser: ArgumentParser) -> None:
    """For `--help` only: see `run_with`."""
    parser.add_argument("pytest", nargs="*", help="arguments of pytest")


def run(arguments: Namespace) -> int:
    """The same as `run_with`."""
    return run_with(arguments.pytest)


def run_with(arguments: Sequence[str]) -> int:
    """Every check runs, even after one has failed: the status is that of the worst."""
    if find_spec("pytest") is None:
        print("voicechat: the tools for testing are not installed; start with ./voicechat test.", file=sys.stderr)
        return 1
    everything = "--all" in arguments
    words = [word for word in arguments if word != "--all"]
    checks = () if _names_tests(words) else CHECKS
    failed = [" ".join(check) for check in checks if _tool(*check) != 0]
    if _pytest(words, whole=not _names_tests(words)) != 0:
        failed.append("pytest")
    # A run of their own: beside `tests`, pytest would take their folders for named twice and leave them out.
    if everything and _pytest([*_options(words), *_heavy_suites()], whole=True) != 0:
        failed.append("pytest of the heavy suites")
    if failed:
        print(f"\nFailed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _names_tests(words: Sequence[str]) -> bool:
    return any(Path(word.partition("::")[0]).exists() for word in words if not word.startswith("-"))


def _options(words: Sequence[str]) -> list[str]:
    return [word for word in words if word.startswith("-")]


def _heavy_suites() -> list[str]:
    """Named one by one, because pytest leaves them out of a run over all tests (norecursedirs)."""
    return [f"tests/{name}" for name in HEAVY if any((ROOT / "tests" / name).glob("test_*.py"))]


def _pytest(words: Sequence[str], *, whole: bool) -> int:
    # Two processes where there are two processors; every test is right in one as well.
    parallel = ["-n", "2", "--dist", "loadfile"] if whole and find_spec("xdist") and (os.cpu_count() or 1) > 1 else []
    return _run([sys.executable, "-m", "pytest", *parallel, *words])


def _tool(name: str, *words: str) -> int:
    return _run([str(Path(sysconfig.get_path("scripts")) / name), *words])


def _run(command: Sequence[str]) -> int:
    print(f"$ {Path(command[0]).name} {' '.join(command[1:])}", flush=True)
    return subprocess.run(command, cwd=ROOT, check=False).returncode  # noqa: S603 - our own tools
