"""The words pico knows, the things it can be shown, and the classes its tower is trained on.

Plain lists in a fixed order: a word's place in `WORDS` is its token id, a class' place in `CLASSES`
its number. Knows nothing of pictures, tokenizers or tensors.
"""

from __future__ import annotations

PAD, BOS, EOS, IMAGE, UNKNOWN = "<pad>", "<s>", "</s>", "<image>", "<unk>"
ROLES = ("user", "assistant", ":")

ANIMALS = frozenset(
    "bear bee bird butterfly camel cat chicken cow crab crocodile dinosaur dog dolphin dragon "
    "duck elephant fish frog giraffe horse kangaroo koala ladybug lion monkey mouse octopus "
    "owl panda parrot penguin pig rabbit rhinoceros shark snail snake spider tiger turtle "
    "unicorn whale wolf zebra".split()
)
FOODS = frozenset(
    "apple avocado banana bread broccoli cake carrot cheese cherries cookie corn croissant "
    "doughnut eggplant grapes hamburger lemon lollipop mushroom onion orange pepper pineapple "
    "pizza sandwich strawberry tomato watermelon".split()
)
VEHICLES = frozenset(
    "airplane ambulance bicycle boat bus car helicopter motorcycle rocket skateboard taxi "
    "tractor train truck".split()
)
CATEGORIES = {"animal": ANIMALS, "food": FOODS, "vehicle": VEHICLES}
OTHER_THINGS = frozenset(
    "anchor axe backpack ball balloon basketball bell bomb book cactus camera castle chair "
    "clock crown dress drum flower ghost guitar hammer hat heart house key lamp laptop magnet "
    "microphone pencil present rainbow robot rose scissors shirt shoe skull snowman socks "
    "sofa star sun teapot telephone television tent trash tree trophy umbrella violin volcano "
    "watch".split()
)
OBJECTS = tuple(sorted(ANIMALS | FOODS | VEHICLES | OTHER_THINGS))

COLORS = {
    "red": (220, 40, 40),
    "green": (40, 160, 60),
    "blue": (40, 80, 220),
    "yellow": (240, 210, 40),
    "purple": (140, 60, 180),
    "orange": (245, 140, 30),
    "black": (25, 25, 25),
    "white": (245, 245, 245),
    "pink": (250, 150, 190),
    "brown": (130, 85, 50),
}
SHAPES = ("circle", "square", "triangle")
COLORED_SHAPES = tuple(f"{color} {shape}" for color in COLORS for shape in SHAPES)
SIGN_WORDS = tuple(
    "stop go open exit sale milk taxi cafe bank park hello welcome sugar music pizza water school "
    "hotel danger closed free book help news".split()
)
# Names of the nine cells of a picture, row by row.
PLACES = (
    "top left",
    "top",
    "top right",
    "left",
    "middle",
    "right",
    "bottom left",
    "bottom",
    "bottom right",
)
NUMBERS = tuple("zero one two three four five six seven eight nine".split())

# What questions and answers are made of besides names, places, colours, numbers and sign words.
GLUE = frozenset(
    ", . ? a an above are at below can color count describe do does find how image in is left "
    "list locate many name no none nothing objects of on part picture read right say saying "
    "see show text the there thing things this to what where which word written yes you".split()
)

IRREGULAR_PLURALS = {
    "cherries": "cherries",
    "fish": "fish",
    "food": "food",
    "grapes": "grapes",
    "mouse": "mice",
    "scissors": "scissors",
    "socks": "socks",
    "wolf": "wolves",
}
# Names for which "a ..." or a plural sounds wrong: known to the model, not offered to a visitor.
AWKWARD_NAMES = frozenset("bread broccoli cheese cherries corn grapes scissors socks trash".split())


def plural(name: str) -> str:
    """Give the plural by pico's rules, which are simpler than English ("tomatos")."""
    if name in IRREGULAR_PLURALS:
        return IRREGULAR_PLURALS[name]
    if name.endswith("y") and name[-2] not in "aeiou":
        return name[:-1] + "ies"
    return name + ("es" if name.endswith(("s", "x", "ch", "sh")) else "s")


def with_article(name: str) -> str:
    """Put "a" or "an" before a name ("an owl", "a unicorn")."""
    return ("an " if name[0] in "aeiou" and name != "unicorn" else "a ") + name


def _all_words() -> tuple[str, ...]:
    singular = {*OBJECTS, *CATEGORIES, *SHAPES, "sign"}
    words = GLUE | singular | {plural(name) for name in singular}
    words |= {*COLORS, *SIGN_WORDS, *NUMBERS, *" ".join(PLACES).split()}
    return (PAD, BOS, EOS, IMAGE, UNKNOWN, *ROLES, *sorted(words))


WORDS = _all_words()
TOKEN = {word: number for number, word in enumerate(WORDS)}

BACKGROUND = "bg"
CLASSES = (BACKGROUND, *OBJECTS, *COLORED_SHAPES, *(f"word {word}" for word in SIGN_WORDS))
CLASS = {name: number for number, name in enumerate(CLASSES)}


def encode(text: str) -> list[int]:
    """Turn words separated by blanks into token ids; a word that pico doesn't know is an error."""
    return [TOKEN[word] for word in text.split()]
