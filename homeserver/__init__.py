from typing import Final

VERSION: Final = "0.1.0"
"""Of this program; the same as in pyproject.toml (tests/federation/test_two_servers.py)."""
