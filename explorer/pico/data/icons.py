"""Icons as small pictures: one sheet per drawing style, and how sheets are made.

The page reads the sheet in assets/icons. `python -m explorer icons` draws new sheets from the
Iconify packages of npm; that takes resvg_py and is needed for training only. A sheet holds one cell
per name of `vocabulary.OBJECTS`, row by row. Knows nothing of scenes.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from PIL import Image

from explorer import ROOT
from explorer.pico.data.vocabulary import OBJECTS

FOLDER = ROOT / "assets" / "icons"
SHIPPED = "noto"
STYLES = ("noto", "twemoji", "fluent-emoji", "fluent-emoji-flat")
SIDE = 112  # pixels of a cell
COLUMNS = 12

# Where the icon sets use another word than pico.
ICON_NAMES = {
    "apple": "red-apple",
    "ball": "soccer-ball",
    "bee": "honeybee",
    "boat": "sailboat",
    "book": "open-book",
    "cake": "birthday-cake",
    "car": "automobile",
    "cat": "cat-face",
    "cheese": "cheese-wedge",
    "clock": "alarm-clock",
    "corn": "ear-of-corn",
    "cow": "cow-face",
    "dinosaur": "t-rex",
    "dog": "dog-face",
    "flower": "sunflower",
    "hat": "top-hat",
    "heart": "red-heart",
    "horse": "horse-face",
    "ladybug": "lady-beetle",
    "lamp": "light-bulb",
    "monkey": "monkey-face",
    "mouse": "mouse-face",
    "orange": "tangerine",
    "pepper": "hot-pepper",
    "pig": "pig-face",
    "present": "wrapped-gift",
    "shirt": "t-shirt",
    "shoe": "running-shoe",
    "sofa": "couch-and-lamp",
    "trash": "wastebasket",
    "tree": "deciduous-tree",
    "truck": "delivery-truck",
    "whale": "spouting-whale",
}

Icons = dict[str, Image.Image]


def read_sheet(file: Path) -> Icons:
    """Cut a sheet into RGBA icons without their transparent margins, one per name."""
    with Image.open(file) as opened:
        sheet = opened.convert("RGBA")
    icons = {}
    for number, name in enumerate(OBJECTS):
        left, top = number % COLUMNS * SIDE, number // COLUMNS * SIDE
        cell = sheet.crop((left, top, left + SIDE, top + SIDE))
        icons[name] = cell.crop(cell.getchannel("A").getbbox())
    return icons


@lru_cache(maxsize=1)
def load(style: str = SHIPPED) -> Icons:
    """Give the icons that come with the project: RGBA pictures by name."""
    return read_sheet(FOLDER / f"{style}.webp")


def read_styles(folder: Path) -> list[Icons]:
    """Read every sheet of a folder, in alphabetical order."""
    files = sorted(folder.glob("*.webp"))
    if not files:
        raise FileNotFoundError(f"{folder} holds no icon sheets; python -m explorer icons")
    return [read_sheet(file) for file in files]


def write_sheet(icons: Icons, file: Path) -> None:
    """Put the icons on one lossless WebP sheet, centred in their cells."""
    rows = -(-len(OBJECTS) // COLUMNS)
    sheet = Image.new("RGBA", (COLUMNS * SIDE, rows * SIDE))
    for number, name in enumerate(OBJECTS):
        icon = icons[name]
        left = number % COLUMNS * SIDE + (SIDE - icon.width) // 2
        top = number // COLUMNS * SIDE + (SIDE - icon.height) // 2
        sheet.paste(icon, (left, top))
    sheet.save(file, lossless=True, quality=100, method=6)


def draw(collection: dict, name: str) -> Image.Image:
    """Rasterise one icon of an Iconify collection (its icons.json), without its margins."""
    import resvg_py

    icon = collection["icons"][ICON_NAMES.get(name, name)]
    sizes = {key: icon.get(key, collection.get(key, 16)) for key in ("width", "height")}
    view = f"{icon.get('left', 0)} {icon.get('top', 0)} {sizes['width']} {sizes['height']}"
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{view}" width="{SIDE}" height="{SIDE}">{icon["body"]}</svg>'
    )
    png = resvg_py.svg_to_bytes(svg_string=svg, skip_system_fonts=True)
    drawn = Image.open(io.BytesIO(bytes(png))).convert("RGBA")
    return drawn.crop(drawn.getchannel("A").getbbox())


def rasterise(packages: Path, into: Path, styles: Sequence[str]) -> None:
    """Draw a sheet per style from `packages`/@iconify-json/<style>/icons.json."""
    into.mkdir(parents=True, exist_ok=True)
    for style in styles:
        text = (packages / "@iconify-json" / style / "icons.json").read_text(encoding="utf-8")
        collection = json.loads(text)
        file = into / f"{style}.webp"
        write_sheet({name: draw(collection, name) for name in OBJECTS}, file)
        print(f"{file}: {len(OBJECTS)} icons, {file.stat().st_size // 1000} KB")


def main() -> None:
    """Draw icon sheets from npm packages.

    First: npm install @iconify-json/noto @iconify-json/twemoji @iconify-json/fluent-emoji
    @iconify-json/fluent-emoji-flat, and pip install resvg_py.
    """
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--npm", type=Path, default=Path("node_modules"), help="npm's packages")
    parser.add_argument("--out", type=Path, default=Path("out/icons"), help="where sheets go")
    parser.add_argument("--styles", nargs="+", choices=STYLES, default=STYLES)
    parser.add_argument("--ship", action="store_true", help="renew the sheet in assets/icons too")
    options = parser.parse_args()
    rasterise(options.npm, options.out, options.styles)
    if options.ship:
        rasterise(options.npm, FOLDER, [SHIPPED])
