"""The one guard in front of everything: whatever a visitor hands in becomes a plain RGB picture.

Page, API and command line all come through `open_picture`, so that the processor and the overlay
see the same pixels. Knows nothing of models, patches or pages. PIL's global settings are left
alone, because several visitors are served at once.
"""

from __future__ import annotations

import base64
import hashlib
import io
import struct
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import ExifTags, Image

from explorer.errors import BadPicture
from explorer.media.deep_pixels import is_deep, scaled_to_bytes, tune_transparency
from explorer.media.file_kinds import kind_of

MAX_BYTES = 10 * 1024 * 1024
MAX_PIXELS = 40_000_000
MAX_SIDE = 2048
MAX_RATIO = 20  # processors scale the short side up: 1x20000 would take LLaVA's some 20 GB
MIN_SIDE = 8  # below that a patch is a fraction of a pixel and the map would show nothing

# PIL would also try formats that start other programs (EPS) or that nobody uploads.
FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "AVIF")
ANIMATED = ("GIF", "WEBP", "PNG", "AVIF")
BEGINNINGS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"II*\0", b"MM\0*")
JPEG, JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
JPEG_FILLING = b"\x55" * 64  # entropy-coded bits that would decode to something

# What PIL's decoders raise on damaged data. PIL promises no common error: a cut GIF gives
# IndexError or struct.error, AVIF RuntimeError. MemoryError and AttributeError stay loud.
DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    TypeError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    struct.error,
    zlib.error,
)

CHOOSE = "please choose a JPEG, PNG, WebP or GIF file"
DAMAGED = "The picture is damaged or incomplete; please save it again or choose another one."
STRETCHED = "This picture has more than 8 bits per pixel; its values were stretched to 0..255."
TOO_MANY_PIXELS = (
    f"The picture has more than {MAX_PIXELS // 10**6} million pixels; "
    "please scale it down and try again."
)

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Picture:
    """A picture that every model here can read.

    image:  RGB, upright, at most MAX_SIDE pixels on the longer side.
    notes:  sentences for the visitor about what was changed.
    digest: 16 hexadecimal digits, equal for equal size and pixels.
    """

    image: Image.Image
    notes: tuple[str, ...]
    digest: str

    @property
    def nbytes(self) -> int:
        """Bytes of the pixels in memory."""
        width, height = self.image.size
        return 3 * width * height


def open_picture(source: str | Path | bytes | Image.Image | None) -> Picture:
    """Read a picture from a path, the bytes of a file or a PIL image, and make it plain RGB.

    Turned upright by its EXIF orientation, transparency laid on white, 16-bit values scaled and
    float values stretched to 0..255 (deep_pixels.py), scaled down to MAX_SIDE. The size is checked
    before any pixel is decoded. Raises BadPicture with one sentence that says what to do.
    """
    if source is None or source == "":
        raise BadPicture("There is no picture yet; please choose one first.")
    if isinstance(source, Image.Image):
        image, notes = source, _decoded(source)
    else:
        image, notes = _read(_file_bytes(source))
    plain, stretched = _eight_bit(_upright(image))
    plain, scaled = _scaled_down(plain)
    plain = _on_white(plain)
    plain.info = {}  # EXIF says where a photo was taken; nobody here needs to know
    content = f"{plain.width}x{plain.height}:".encode() + plain.tobytes()
    return Picture(plain, notes + stretched + scaled, hashlib.sha256(content).hexdigest()[:16])


def pad_to_square(image: Image.Image, colour: str | tuple[int, int, int]) -> Image.Image:
    """Centre a picture on a square of one colour; side M = max(W, H).

    The picture begins at ((M - W) // 2, (M - H) // 2), whole pixels, as in LLaVA's
    `expand2square` (haotian-liu/LLaVA, llava/mm_utils.py).
    """
    side = max(image.size)
    square = Image.new(image.mode, (side, side), colour)
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


def _file_bytes(source: str | Path | bytes) -> bytes:
    """Give the bytes of a file, after a look at how many there are."""
    if isinstance(source, bytes):
        data = source
    else:
        path = Path(source)
        try:
            if path.is_dir():
                raise BadPicture(f'The path "{path.name}" is a folder; {CHOOSE}.')
            if not path.is_file():
                raise BadPicture(f'There is no file "{path.name}"; {CHOOSE} that exists.')
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except OSError:
            raise BadPicture(f'The file "{path.name}" can\'t be read; {CHOOSE}.') from None
    if not data:
        raise BadPicture(f"The file is empty; {CHOOSE}.")
    if len(data) > MAX_BYTES:
        raise BadPicture(
            f"The file is larger than {MAX_BYTES // 2**20} MB; "
            "please save the picture smaller, for example as a JPEG."
        )
    return data


def _read(data: bytes) -> tuple[Image.Image, tuple[str, ...]]:
    """Decode a file; a JPEG that lacks no more than its end marker is whole, as in browsers."""
    try:
        image = _opened(data)
        return image, _decoded(image)
    except BadPicture:
        if not data.startswith(JPEG) or data.endswith(JPEG_END):
            raise
        # Bytes behind a complete scan are skipped; an incomplete one would show them as pixels.
        scan = data.rstrip(JPEG_END[:1])
        whole, padded = _opened(scan + JPEG_END), _opened(scan + JPEG_FILLING + JPEG_END)
        notes = _decoded(whole)
        _decoded(padded)
        if whole.tobytes() != padded.tobytes():
            raise
        return whole, notes


def _decoded(image: Image.Image) -> tuple[str, ...]:
    """Decode the pixels of the first frame, of which the header is read; gives notes."""
    _check_size(*image.size)
    tune_transparency(image)
    try:
        notes = _several(image)
        image.load()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadPicture(TOO_MANY_PIXELS) from None
    except DAMAGE:
        raise BadPicture(DAMAGED) from None
    return notes


def _opened(data: bytes) -> Image.Image:
    """Read the header of a file; no pixel is decoded yet."""
    try:
        return Image.open(BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadPicture(TOO_MANY_PIXELS) from None
    except DAMAGE:
        raise BadPicture(_why_unreadable(data)) from None


def _why_unreadable(data: bytes) -> str:
    """Say what a file is that PIL found no picture in."""
    kind = kind_of(data)
    if kind is not None:
        return f"{kind} can't be read here; please save it as JPEG or PNG."
    if data.startswith(BEGINNINGS):
        return DAMAGED
    return f"The file is not a picture, whatever its name says; {CHOOSE}."


def _check_size(width: int, height: int) -> None:
    """Refuse a picture by its width and height alone."""
    if width * height > MAX_PIXELS:
        raise BadPicture(TOO_MANY_PIXELS)
    if min(width, height) < MIN_SIDE:
        raise BadPicture(
            f"The picture is too small ({width} x {height} pixels); "
            f"please choose one with at least {MIN_SIDE} pixels on each side."
        )
    if max(width, height) > MAX_RATIO * min(width, height):
        raise BadPicture(
            f"The picture is too long and thin ({width} x {height} pixels); please cut it so that "
            f"one side is at most {MAX_RATIO} times the other."
        )


def _several(image: Image.Image) -> tuple[str, ...]:
    """Go to the first frame or page of a file, and say so if there are more."""
    if not getattr(image, "is_animated", False):
        return ()
    image.seek(0)
    if image.format in ANIMATED:
        return ("This is an animation; only its first frame is used.",)
    if image.format == "TIFF":
        return ("This file has several pages; only the first is used.",)
    return ()  # MPO: a photo with a preview or a depth map beside it


def _upright(image: Image.Image) -> Image.Image:
    """Turn a decoded picture the way its EXIF orientation asks for (TIFF has done so itself)."""
    try:
        turn = TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    except DAMAGE:
        return image  # the pixels are sound even where the EXIF block is not
    return image if turn is None else image.transpose(turn)


def _eight_bit(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """Make any mode L or RGB, or LA or RGBA where something is transparent."""
    if is_deep(image):
        return scaled_to_bytes(image), (STRETCHED,)
    return image.convert("RGBA" if image.has_transparency_data else "RGB"), ()


def _scaled_down(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """Bring the longer side down to MAX_SIDE."""
    width, height = image.size
    if max(width, height) <= MAX_SIDE:
        return image, ()
    scale = MAX_SIDE / max(width, height)
    small = (round(width * scale), round(height * scale))
    note = f"Scaled down from {width} x {height} pixels to {small[0]} x {small[1]}."
    return image.resize(small, Image.Resampling.LANCZOS, reducing_gap=3.0), (note,)


def _on_white(image: Image.Image) -> Image.Image:
    """Lay a transparent picture on white, as the processors do."""
    if image.mode in ("RGB", "L"):
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")


SHOWN_SIDE = 896  # pixels of the longer side that the browser gets


def picture_url(image: Image.Image, side: int = SHOWN_SIDE) -> str:
    """Write a picture into a data URL, no larger than the screen needs."""
    small = image.copy()
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=85)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
