"""Mallory sends pictures that are none, or far more than they seem; Alice sends such as cameras make."""

from __future__ import annotations

import io
import struct
import time
import zlib
from collections.abc import Callable
from typing import Any

from PIL import Image

from tests.cast import Answer, Client, Server

UPLOAD = "/_matrix/media/v3/upload"
THUMBNAIL = "/_matrix/client/v1/media/thumbnail/"
# The program's processor time, and what a machine that has much to do takes besides.
PATIENCE_S = 60.0


def saved(picture: Image.Image, kind: str, **more: Any) -> bytes:
    output = io.BytesIO()
    picture.save(output, kind, **more)
    return output.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, *more: bytes, depth: int = 1, colour: int = 0, data: bytes = b"") -> bytes:
    """A PNG by hand, with any numbers in its head."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


async def thumbnail(client: Client, content: bytes, width: int = 96, height: int = 96, method: str = "scale") -> Answer:
    sent = await client.raw("POST", UPLOAD, data=content, headers={"Content-Type": "image/png"})
    path = sent.json()["content_uri"].removeprefix("mxc://")
    return await client.raw("GET", THUMBNAIL + path, query={"width": width, "height": height, "method": method})


def many_frames(count: int, kind: str) -> bytes:
    frames = [Image.new("RGB", (40, 20), (number % 256, 0, 0)) for number in range(count)]
    return saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=20)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "a bomb": lambda: png(50_000, 50_000, data=bytes(6_251 * 2_000)),
    "as large as can be said": lambda: png(2**31 - 1, 2**31 - 1),
    "without a size": lambda: png(0, 0),
    "with a size only": lambda: png(1_000, 1_000)[:33],
    "a text that is a bomb": lambda: png(
        8, 8, chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(50_000_000), 9)), data=bytes(16)
    ),
    "a profile that is a bomb": lambda: png(
        8, 8, chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(50_000_000), 9)), data=bytes(16)
    ),
    "a wide GIF": lambda: (
        b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0) + b",\0\0\0\0\xff\xff\xff\xff\0\2\0;"
    ),
    "half a JPEG": lambda: saved(Image.effect_noise((300, 300), 80), "JPEG")[:400],
    "a JPEG of nothing": lambda: b"\xff\xd8\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03" + bytes(50) + b"\xff\xd9",
    "half a WebP": lambda: saved(Image.effect_noise((300, 300), 80), "WEBP")[:100],
    "a page": lambda: b"<html><script>alert(1)</script>",
    "a drawing with an entity": lambda: b'<!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg>&x;</svg>',
    "PostScript": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) run\n",
    "TIFF": lambda: saved(Image.new("RGB", (8, 8)), "TIFF"),
    "a name with a path": lambda: b"P6 /etc/passwd 9 9 255\n",
    "nothing": lambda: b"",
}


async def test_hostile_pictures_are_refused_or_small(server: Server) -> None:
    mallory, alice = await server.register("mallory"), await server.register("alice")
    for name, make in HOSTILE.items():
        begun = time.monotonic()
        answer = await thumbnail(mallory, make())
        assert time.monotonic() - begun < PATIENCE_S, name
        if answer.status == 200:
            assert len(answer.body) < 10_000, name
        else:
            assert (answer.status, answer.json()["errcode"]) in ((400, "M_UNKNOWN"), (413, "M_TOO_LARGE")), name
    assert (await thumbnail(alice, saved(Image.new("RGB", (300, 200)), "PNG"))).status == 200


async def test_a_photograph_stands_upright(server: Server) -> None:
    alice = await server.register("alice")
    for orientation, is_wide in ((1, True), (3, True), (6, False), (8, False)):
        exif = Image.Exif()
        exif[0x0112] = orientation
        exif[0x010F] = "Camera of Alice"
        exif.get_ifd(0x8825)[1] = "N"  # where it was taken
        answer = await thumbnail(alice, saved(Image.new("RGB", (400, 200), "blue"), "JPEG", exif=exif))
        small = Image.open(io.BytesIO(answer.body))
        assert (small.width > small.height) == is_wide
        # Turned once: what is sent says nothing more of turning, nor of the camera.
        assert not dict(small.getexif())


async def test_of_what_moves_the_first_picture_is_shown(server: Server) -> None:
    alice = await server.register("alice")
    for kind in ("GIF", "WEBP", "PNG"):
        answer = await thumbnail(alice, many_frames(300, kind))
        assert answer.status == 200, kind
        assert getattr(Image.open(io.BytesIO(answer.body)), "n_frames", 1) == 1


async def test_pictures_of_every_kind_have_thumbnails(server: Server) -> None:
    alice = await server.register("alice")
    for mode in ("1", "L", "LA", "P", "RGBA", "CMYK", "I;16"):
        answer = await thumbnail(alice, saved(Image.new(mode, (300, 200)), "JPEG" if mode == "CMYK" else "PNG"))
        assert answer.status == 200, mode
        assert answer.headers["Content-Type"] == ("image/png" if mode in ("LA", "RGBA") else "image/jpeg")
