"""What a visitor may hand in: every file here is made on the spot."""

from __future__ import annotations

import struct
import subprocess
import sys
import warnings
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from explorer import ROOT
from explorer.errors import BadPicture
from explorer.media.image import MAX_BYTES, MAX_SIDE, open_picture, pad_to_square

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def plain(width: int = 60, height: int = 40, colour=RED) -> Image.Image:
    return Image.new("RGB", (width, height), colour)


def ramp(width: int = 60, height: int = 40) -> Image.Image:
    """Different in every column, so that a truncated file can't be complete by luck."""
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    """A part of a PNG file."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_header(width: int, height: int) -> bytes:
    """A PNG that says how large it is and then holds rubbish instead of pixels."""
    start = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + start + chunk(b"IDAT", b"rubbish") + chunk(b"IEND", b"")


def refusal(source) -> str:
    """The sentence with which a picture is refused."""
    with pytest.raises(BadPicture) as refused:
        open_picture(source)
    sentence = str(refused.value)
    assert sentence[0].isupper() and sentence.endswith(".") and "\n" not in sentence
    assert "please" in sentence  # it says what to do
    return sentence


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)
AVIF = b"\0\0\0\x18ftypavif\0\0\0\0avifmif1" + bytes(200)
SVG = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"></svg>'


@pytest.mark.parametrize(
    ("name", "data", "cause"),
    [
        ("nothing.png", b"", "empty"),
        ("letter.jpg", b"Dear Sir or Madam, this is a letter.\n" * 20, "not a picture"),
        ("page.html", b"<!doctype html><html></html>", "not a picture"),
        ("drawing.svg", SVG, "SVG"),
        ("drawing.png", b"\xef\xbb\xbf\n" + SVG, "SVG"),
        ("long.svg", SVG.replace(b"<svg", b"<!-- " + b"word <html> " * 9000 + b"-->\n<svg"), "SVG"),
        ("other.svg", SVG.decode().encode("utf-16"), "SVG"),
        ("page.html", b"<!doctype html><html><body><svg></svg></body></html>", "not a picture"),
        ("icon.ico", encoded(plain(64, 64), "ICO"), "ICO"),
        ("photo.jp2", b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(90), "JPEG 2000"),
        ("photo.j2k", b"\xff\x4f\xff\x51" + bytes(90), "JPEG 2000"),
        ("photo.jxl", b"\xff\x0a" + bytes(90), "JPEG XL"),
        ("box.jxl", b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(90), "JPEG XL"),
        ("photo.ppm", encoded(plain(), "PPM"), "PPM"),
        ("photo.tga", encoded(plain(), "TGA"), "TGA"),
        ("old.tga", encoded(plain(), "TGA").partition(b"\0" * 8 + b"TRUEVISION")[0], "TGA"),
        ("paper.pdf", b"%PDF-1.7\n" + bytes(90), "PDF"),
        ("film.mp4", b"\0\0\0\x18ftypisom" + bytes(90), "Videos"),
        ("song.m4a", b"\0\0\0\x18ftypM4A " + bytes(90), "Sound"),
        ("phone.heic", HEIC, "HEIC"),
        ("phone.jpg", HEIC.replace(b"ftypheic", b"ftypmif1"), "HEIC"),
        ("program.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n", "not a picture"),
        ("huge.png", encoded(plain()) + bytes(MAX_BYTES), "larger than 10 MB"),
        ("dot.png", encoded(plain(1, 1)), "too small (1 x 1 pixels)"),
        ("thread.png", encoded(plain(20000, 10)), "too long and thin (20000 x 10 pixels)"),
        ("rubbish.png", png_header(60, 40), "damaged"),
        ("half.png", encoded(ramp())[:4000], "damaged"),
        ("half.jpg", encoded(ramp(), "JPEG")[:1500], "damaged"),
        ("half.gif", encoded(ramp(), "GIF")[:1500], "damaged"),
        ("phone.avif", AVIF, "AVIF"),
        ("half.webp", encoded(ramp(), "WEBP", lossless=True)[:3000], "damaged"),
        ("start.png", encoded(ramp())[:20], "damaged"),
        ("start.jpg", encoded(ramp(), "JPEG")[:20], "damaged"),
    ],
)
def test_a_bad_file_is_refused_with_its_cause(tmp_path: Path, name, data, cause):
    path = tmp_path / name
    path.write_bytes(data)
    assert cause in refusal(path)
    assert cause in refusal(str(path))
    assert cause in refusal(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "AVIF"])
def test_whatever_is_damaged_is_read_or_refused_but_never_fails(kind):
    """Cut at many places, and with random bytes in the header: a decoder's error never gets out."""
    more = {"save_all": True, "append_images": [ramp().rotate(180)]}
    file = encoded(plain(), kind, **more if kind in ("GIF", "WEBP", "PNG", "AVIF") else {})
    damaged = [file[:length] for length in range(1, len(file), max(1, len(file) // 200))]
    random = np.random.default_rng(0)
    for _ in range(300):
        changed = np.frombuffer(file, np.uint8).copy()
        places = random.integers(0, min(len(file), 400), 4)
        changed[places] = random.integers(0, 256, 4)
        damaged.append(changed.tobytes())
    refused = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for data in damaged:
            try:
                assert open_picture(data).image.mode == "RGB"
            except BadPicture:
                refused += 1
    assert refused > 20


def test_heic_says_how_to_save_it():
    assert "JPEG or PNG" in refusal(HEIC)


def test_no_picture_no_file_and_a_folder(tmp_path: Path):
    assert "choose one first" in refusal(None)
    assert "choose one first" in refusal("")
    missing = refusal(tmp_path / "gone.png")
    assert 'no file "gone.png"' in missing and str(tmp_path) not in missing
    assert "folder" in refusal(tmp_path)
    assert "can't be read" in refusal("x" * 5000)


@pytest.mark.parametrize("alarm", ["default", "error"])
@pytest.mark.parametrize("size", [(10000, 6000), (12000, 9000), (60000, 50000)])
def test_too_many_pixels_are_refused_before_any_is_decoded(size, alarm):
    """PIL itself is silent about the first, warns of the second and refuses the third."""
    with warnings.catch_warnings():
        warnings.simplefilter(alarm, Image.DecompressionBombWarning)
        warnings.simplefilter("ignore" if alarm == "default" else "error")
        sentence = refusal(png_header(*size))
    assert "more than 40 million pixels" in sentence and "scale it down" in sentence


def test_the_limits_hold_for_pictures_in_memory_too():
    assert "too small" in refusal(plain(7, 60))
    assert "too long and thin" in refusal(plain(10, 201))
    assert "40 million" in refusal(Image.new("1", (8000, 6000)))
    assert open_picture(plain(8, 160)).image.size == (8, 160)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
def test_common_files_come_out_as_rgb(kind, tmp_path: Path):
    path = tmp_path / "picture"
    path.write_bytes(encoded(plain(), kind))
    for source in (path, str(path), path.read_bytes(), Image.open(path)):
        picture = open_picture(source)
        assert (picture.image.mode, picture.image.size, picture.notes) == ("RGB", (60, 40), ())
        assert np.abs(np.asarray(picture.image, int) - RED).max() <= 3


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGBA", "CMYK", "YCbCr", "HSV"])
def test_every_mode_keeps_its_black_and_white(mode):
    image = plain(colour="white")
    image.paste("black", (0, 0, 30, 40))
    if mode == "PA":
        image = image.convert("P")
    picture = open_picture(image.convert(mode)).image
    assert picture.mode == "RGB"
    assert picture.getpixel((5, 5)) == (0, 0, 0) and picture.getpixel((50, 5)) == WHITE


@pytest.mark.parametrize("kind", ["RGBA", "LA", "P"])
def test_transparency_is_laid_on_white(kind):
    image = Image.new("RGBA", (60, 40), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 30, 40))
    picture = open_picture(encoded(image.convert(kind))).image
    assert picture.getpixel((5, 5)) == (0, 0, 0) and picture.getpixel((50, 5)) == WHITE


def test_half_transparent_black_is_grey():
    picture = open_picture(Image.new("RGBA", (60, 40), (0, 0, 0, 128))).image
    assert picture.getpixel((0, 0)) == (127, 127, 127)


@pytest.mark.parametrize(
    "values",
    [
        np.linspace(0, 65535, 256).astype(np.uint16),
        np.linspace(1000, 4095, 256).astype(np.uint16),
        np.linspace(0, 1, 256, dtype=np.float32),
        np.linspace(-1e6, 1e6, 256).astype(np.int32),
    ],
    ids=["16 bit", "12 of 16 bit", "float", "32 bit"],
)
def test_deep_pictures_are_stretched_not_clipped(values):
    image = Image.fromarray(np.tile(values, (16, 1)))
    picture = open_picture(encoded(image, "TIFF"))
    row = np.asarray(picture.image)[0, :, 0].astype(int)
    assert np.abs(row - np.arange(256)).max() <= 1
    assert picture.notes == (
        "This picture has more than 8 bits per pixel; its values were stretched to 0..255.",
    )


def test_a_16_bit_png_is_stretched_too():
    values = np.tile(np.linspace(0, 65535, 256).astype(np.uint16), (16, 1))
    picture = open_picture(encoded(Image.fromarray(values))).image
    assert np.abs(np.asarray(picture)[0, :, 0].astype(int) - np.arange(256)).max() <= 1


def png(depth: int, colour: int, row: bytes, side: int = 16, clear: bytes | None = None) -> bytes:
    """A PNG of equal rows, with a transparent value (tRNS) in the file's own samples."""
    start = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, depth, colour, 0, 0, 0))
    if clear is not None:
        start += chunk(b"tRNS", clear)
    body = chunk(b"IDAT", zlib.compress((b"\0" + row) * side)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + start + body


@pytest.mark.parametrize(("value", "grey"), [(65535, 255), (30000, 117), (300, 1), (0, 0)])
def test_a_16_bit_png_of_one_value_is_as_bright_as_it_says(value, grey):
    pixels = np.asarray(open_picture(png(16, 0, struct.pack(">H", value) * 16)).image)
    assert pixels.min() == pixels.max() == grey


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_noise_of_16_bits_is_not_blown_up(kind):
    values = 30000 + np.random.default_rng(0).integers(-9, 10, (40, 40)).astype(np.uint16)
    pixels = np.asarray(
        open_picture(encoded(Image.fromarray(values.astype(np.uint16)), kind)).image
    )
    assert pixels.min() >= 116 and pixels.max() <= 118


@pytest.mark.parametrize(
    ("depth", "colour", "clear", "opaque"),
    [
        (2, 0, b"\x55\x55\x55\x55", None),
        (4, 0, b"\x55" * 8, None),
        (8, 0, b"\x05" * 16, None),
        (16, 0, struct.pack(">H", 1300) * 16, struct.pack(">H", 1301) * 16),
        (16, 2, struct.pack(">3H", 0, 65535, 300) * 16, struct.pack(">3H", 0, 0, 300) * 16),
    ],
    ids=["2 bits", "4 bits", "8 bits", "16 bits", "16 bits, coloured"],
)
def test_the_transparent_value_of_a_png_is_white(depth, colour, clear, opaque):
    """tRNS names it in the file's own samples, which PIL changes."""
    sample = {2: b"\0\1", 4: b"\0\5", 8: b"\0\5"}.get(depth, clear[: 2 if colour == 0 else 6])
    assert open_picture(png(depth, colour, clear, clear=sample)).image.getpixel((3, 3)) == WHITE
    other = bytes(len(clear)) if opaque is None else opaque
    assert open_picture(png(depth, colour, other, clear=sample)).image.getpixel((3, 3)) != WHITE


def test_a_large_deep_picture_takes_no_more_memory_than_a_colourful_one():
    rows = [b"\0" + bytes(2 * 6000)] * 6000
    start = chunk(b"IHDR", struct.pack(">IIBBBBB", 6000, 6000, 16, 0, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"".join(rows))) + chunk(b"IEND", b"")
    code = (
        "import resource, sys; from explorer.media.image import open_picture as look;"
        "first = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "look(sys.stdin.buffer.read());"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - first)"
    )
    data = b"\x89PNG\r\n\x1a\n" + start + body
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, input=data, capture_output=True, cwd=ROOT, check=True)
    assert int(done.stdout) * 1024 < 200e6, "72 MB of samples, 36 MB of bytes"


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True}])
def test_a_jpeg_without_its_end_marker_is_whole(options):
    for size in ((60, 40), (500, 300)):
        data = encoded(ramp(*size), "JPEG", **options)
        whole = open_picture(data)
        assert open_picture(data[:-2]).digest == open_picture(data[:-1]).digest == whole.digest
        assert "damaged" in refusal(data[:-12])


def test_float_pictures_may_hold_holes_or_one_value():
    values = np.full((16, 16), 0.5, np.float32)
    assert np.asarray(open_picture(Image.fromarray(values)).image).max() == 0
    values[0], values[1], values[2] = 1, np.nan, np.inf
    pixels = np.asarray(open_picture(Image.fromarray(values)).image)[..., 0]
    assert pixels[:4, 0].tolist() == [255, 0, 255, 0]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_6_is_turned_upright(kind):
    """Stored lying: what is at the left belongs to the top."""
    image = plain(80, 40, BLUE)
    image.paste(GREEN, (0, 0, 16, 40))
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = open_picture(encoded(image, kind, exif=exif)).image
    assert picture.size == (40, 80)
    assert np.abs(np.subtract(picture.getpixel((20, 4)), GREEN)).max() < 8
    assert np.abs(np.subtract(picture.getpixel((20, 70)), BLUE)).max() < 8


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_agrees_with_pil(orientation):
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    file = encoded(ramp(), "PNG", exif=exif)
    expected = ImageOps.exif_transpose(Image.open(BytesIO(file)))
    assert np.array_equal(open_picture(file).image, expected)


def test_a_damaged_exif_block_does_not_spoil_the_picture():
    file = encoded(plain(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert open_picture(file).image.size == (60, 40)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_used(kind):
    file = encoded(plain(), kind, save_all=True, append_images=[plain(colour=BLUE)])
    picture = open_picture(file)
    assert picture.notes == ("This is an animation; only its first frame is used.",)
    assert np.abs(np.subtract(picture.image.getpixel((9, 9)), RED)).max() < 8
    moved_on = Image.open(BytesIO(file))
    moved_on.seek(1)
    assert open_picture(moved_on).digest == picture.digest


def test_of_several_pages_the_first_is_used():
    file = encoded(plain(), "TIFF", save_all=True, append_images=[plain(colour=BLUE)])
    picture = open_picture(file)
    assert picture.notes == ("This file has several pages; only the first is used.",)
    assert picture.image.getpixel((9, 9)) == RED


def test_a_photo_with_a_preview_is_not_an_animation():
    file = encoded(plain(), "MPO", save_all=True, append_images=[plain(30, 20)])
    assert open_picture(file).notes == ()


def test_a_large_picture_is_scaled_down():
    picture = open_picture(plain(4000, 3000))
    assert picture.image.size == (MAX_SIDE, 1536)
    assert picture.notes == ("Scaled down from 4000 x 3000 pixels to 2048 x 1536.",)
    assert open_picture(plain(MAX_SIDE, 200)).notes == ()


def test_scaling_down_does_not_let_hidden_colours_through():
    """Fully transparent red beside opaque white stays white."""
    image = Image.new("RGBA", (4096, 300), (255, 255, 255, 255))
    image.paste((255, 0, 0, 0), (0, 0, 1001, 300))
    assert np.asarray(open_picture(image).image).min() >= 254


def test_what_the_file_tells_beside_the_pixels_is_left_behind():
    exif = Image.Exif()
    exif[0x010F] = "maker of the camera"
    assert open_picture(encoded(plain(), "JPEG", exif=exif)).image.info == {}


def test_the_digest_is_of_size_and_pixels():
    digest = open_picture(ramp()).digest
    assert len(digest) == 16 and int(digest, 16) >= 0
    assert digest == open_picture(encoded(ramp(), "PNG")).digest
    assert digest == open_picture(encoded(ramp(), "BMP")).digest
    changed = ramp()
    changed.putpixel((0, 0), tuple(255 - value for value in changed.getpixel((0, 0))))
    assert digest != open_picture(changed).digest
    assert open_picture(plain(20, 40)).digest != open_picture(plain(40, 20)).digest


def test_the_picture_handed_in_stays_as_it_was():
    image = Image.new("RGBA", (60, 40), (255, 0, 0, 90))
    picture = open_picture(image).image
    assert image.mode == "RGBA" and image.getpixel((0, 0)) == (255, 0, 0, 90)
    again = plain()
    open_picture(again).image.putpixel((0, 0), BLUE)
    assert again.getpixel((0, 0)) == RED
    assert picture.getpixel((0, 0)) == (255, 165, 165)


def test_padding_to_a_square_centres_with_whole_pixels():
    wide = pad_to_square(plain(61, 40), BLUE)
    assert wide.size == (61, 61)
    column = [wide.getpixel((30, y)) for y in range(61)]
    assert column == [BLUE] * 10 + [RED] * 40 + [BLUE] * 11
    tall = pad_to_square(plain(40, 61), BLUE)
    assert [tall.getpixel((x, 30)) for x in range(61)] == column
    assert pad_to_square(plain(40, 40), BLUE).getcolors() == [(1600, RED)]
