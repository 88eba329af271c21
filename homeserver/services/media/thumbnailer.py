"""A program, not a module: reads a picture from stdin, writes `{"content_type": ..}`, a line break and the thumbnail.

Run by thumbnails.py for each thumbnail, in a process of its own with limits on memory and time: whatever a hostile
picture does to the imaging library, it does not do it to the server. With the method `measure` it writes
`{"content_type": .., "width": .., "height": ..}` and no thumbnail.
"""

import io
import json
import os
import resource
import sys
from typing import Any

MAX_PIXELS = 100_000_000
MAX_MEMORY_BYTES = 1536 * 1024 * 1024
MAX_CPU_SECONDS = 15
NICENESS = 10
FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
EXIF_ORIENTATION = 0x0112
EXIF_SIDEWAYS = (5, 6, 7, 8)


def main() -> int:
    """Exit status 0, or 1 for what is no picture."""
    os.nice(NICENESS)  # calls and messages come first
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_SECONDS, MAX_CPU_SECONDS))
    if sys.platform == "linux":  # macOS refuses this limit
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    width, height, method = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]

    from PIL import Image

    Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2  # Pillow itself refuses twice this
    try:
        with Image.open(io.BytesIO(sys.stdin.buffer.read()), formats=FORMATS) as picture:
            if method == "measure":
                head, thumbnail = measure(picture), b""
            else:
                content_type, thumbnail = make(picture, (width, height), method)
                head = {"content_type": content_type}
    except Exception:
        return 1
    sys.stdout.buffer.write(json.dumps(head).encode() + b"\n" + thumbnail)
    return 0


def measure(picture: Any) -> dict[str, Any]:
    """What it is, and its size as it is shown. Decoded once: what cannot be shown has no size."""
    if picture.width * picture.height > MAX_PIXELS:
        raise ValueError("too many pixels")
    width, height = picture.width, picture.height
    picture.draft("RGB", (1, 1))
    picture.load()
    if picture.getexif().get(EXIF_ORIENTATION) in EXIF_SIDEWAYS:
        width, height = height, width
    return {"content_type": f"image/{picture.format.lower()}", "width": width, "height": height}


def make(picture: Any, box: tuple[int, int], method: str) -> tuple[str, bytes]:
    """Content type and bytes. Never larger than the picture is."""
    from PIL import Image, ImageOps

    if picture.width * picture.height > MAX_PIXELS:
        raise ValueError("too many pixels")
    # A JPEG can be decoded at a fraction of its size, several times faster.
    picture.draft("RGB", (box[0] * 2, box[1] * 2))
    picture = ImageOps.exif_transpose(picture)
    transparent = picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info
    picture = picture.convert("RGBA" if transparent else "RGB")
    if method == "crop":
        target = (min(box[0], picture.width), min(box[1], picture.height))
        picture = ImageOps.fit(picture, target, Image.Resampling.LANCZOS)
    else:
        picture.thumbnail(box, Image.Resampling.LANCZOS)
    output = io.BytesIO()
    if transparent:
        picture.save(output, "PNG", optimize=True)
        return "image/png", output.getvalue()
    picture.save(output, "JPEG", quality=82, optimize=True, progressive=True)
    return "image/jpeg", output.getvalue()


if __name__ == "__main__":
    sys.exit(main())
