"""What a file is that can't be opened here, told by its first bytes and never by its name.

Knows signatures; opens nothing.
"""

from __future__ import annotations

import re

HEIF_BRANDS = b"heic heix heim heis hevc hevx hevm hevs mif1 msf1 heif".split()
AUDIO_BRANDS = (b"M4A ", b"M4B ", b"M4P ")

SIGNATURES = (  # where the signature stands, what it is, how a sentence begins
    (0, b"\x00\x00\x01\x00", "Icons (ICO)"),
    (0, b"\x00\x00\x00\x0cjP  ", "JPEG 2000 pictures"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000 pictures"),
    (0, b"\xff\x0a", "JPEG XL pictures"),
    (0, b"\x00\x00\x00\x0cJXL ", "JPEG XL pictures"),
    (0, b"8BPS", "Photoshop files"),
    (0, b"gimp xcf", "GIMP files"),
    (0, b"qoif", "QOI pictures"),
    (0, b"DDS ", "DDS textures"),
    (0, b"\x76\x2f\x31\x01", "OpenEXR pictures"),
    (0, b"#?RADIANCE", "Radiance pictures (HDR)"),
    (0, b"SIMPLE  =", "FITS files"),
    (0, b"\xd7\xcd\xc6\x9a", "Windows metafiles"),
    (0, b"II\xbc\x01", "JPEG XR pictures"),
    (0, b"%PDF", "PDF documents"),
    (0, b"PK\x03\x04", "ZIP archives and office documents"),
    (0, b"ID3", "Sound files"),
    (0, b"fLaC", "Sound files"),
    (0, b"OggS", "Ogg files"),
    (8, b"WAVE", "Sound files"),
    (8, b"AVI ", "Videos"),
    (0, b"\x1a\x45\xdf\xa3", "Videos"),
)
ELEMENT = re.compile(rb"(?s:<!--.*?-->)|<(?:[\w.-]+:)?([\w.-]+)[\s>/]")
NETPBM = re.compile(rb"P[1-7fF]\s")
TGA_FOOTER = b"TRUEVISION-XFILE"


def kind_of(data: bytes) -> str | None:
    """Name in the plural what a file holds, such as "JPEG 2000 pictures"; None if unknown."""
    if data[4:8] == b"ftyp":
        return _of_brand(data[8:12])
    if is_svg(data):
        return "SVG drawings"
    for at, signature, name in SIGNATURES:
        if data.startswith(signature, at):
            return name
    if NETPBM.match(data):
        return "PPM pictures and their like"
    return "TGA pictures" if _is_tga(data) else None


def is_svg(data: bytes) -> bool:
    """Tell whether a file is an SVG, however long a comment or a declaration stands before it."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        data = data.decode("utf-16", "ignore").encode()
    text = data.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not text.startswith(b"<"):
        return False
    names = (found[1] for found in ELEMENT.finditer(text) if found[1])  # comments have no name
    return next(names, b"").lower() == b"svg"


def _of_brand(brand: bytes) -> str:
    """Name a file of the MP4 kind by its brand."""
    if brand in HEIF_BRANDS:
        return "HEIC and HEIF pictures"
    if brand in (b"avif", b"avis"):  # damaged, or PIL was built without its decoder
        return "This AVIF picture"
    return "Sound files" if brand in AUDIO_BRANDS else "Videos"


def _is_tga(data: bytes) -> bool:
    """Tell a TGA, which has no signature: by its footer, or by a header that makes sense."""
    if TGA_FOOTER in data[-26:]:
        return True
    if len(data) < 18 or data[1] > 1 or data[2] not in (1, 2, 3, 9, 10, 11):
        return False
    width, height = (int.from_bytes(data[at : at + 2], "little") for at in (12, 14))
    coloured = data[1] == 1
    depth = {1: (8, 16), 9: (8, 16), 3: (8, 16), 11: (8, 16)}.get(data[2], (15, 16, 24, 32))
    indexed = data[2] in (1, 9)
    return min(width, height) > 0 and data[16] in depth and indexed == coloured
