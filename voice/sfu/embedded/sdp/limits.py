"""How much a description may hold. Well above what clients write for a room of a hundred, and linear to read."""

from __future__ import annotations

MAX_TEXT = 256 * 1024
"""Characters."""
MAX_LINE = 4096
MAX_SECTIONS = 200
MAX_SECTION_LINES = 600
MAX_FORMATS = 128
"""Payload types of one section; there are no more in RTP."""
MAX_EXTENSIONS = 64
MAX_SSRCS = 32
MAX_RIDS = 8
MAX_CANDIDATES = 64
MAX_MID = 32
MAX_MSID = 256
