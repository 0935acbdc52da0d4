"""VQA accuracy: an answer is right in so far as other people gave it, too.

Antol et al. 2015 and Goyal et al. 2017 (VQAv2), as computed by GT-Vision-Lab/VQA, vqaEval.py. Knows
texts; not pictures or models.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

ENOUGH = 3  # people who have to agree for full marks
ANNOTATORS = 10  # of a question of VQAv2, TextVQA, OK-VQA and VizWiz
NUMBERS = {
    word: str(number)
    for number, word in enumerate("zero one two three four five six seven eight nine ten".split())
} | {"none": "0"}
ARTICLES = frozenset({"a", "an", "the"})
CONTRACTED = frozenset(
    """
aint arent cant couldve couldnt couldntve didnt doesnt dont hadnt hadntve hasnt havent hed hedve hes
howd howll hows isnt itd itdve itll maam mightnt mightntve mightve mustnt mustve neednt notve oclock
oughtnt owsat shant shedve shouldve shouldnt shouldntve somebodyd somebodydve somebodyll somebodys
someoned someonedve someonell someones somethingd somethingdve somethingll thats thered theredve
therere theres theyd theydve theyll theyre theyve twas wasnt wedve weve werent whatll whatre whats
whatve whens whered wheres whereve whod whodve wholl whos whove whyll whyre whys wont wouldve
wouldnt wouldntve yall yallll yalldve youd youdve youll youre youve
""".split()
)
"""Words that count as the same with apostrophes and without, as in the official list."""
PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
COMMA_IN_NUMBER = re.compile(r"\d,\d")
FULL_STOP = re.compile(r"\.(?!\d)")


def normalise(answer: str) -> str:
    """Write an answer as VQA compares it: lower case, digits, no punctuation, no articles.

    A sign of punctuation beside a blank, or in an answer with a number such as 1,000, is taken out;
    any other parts two words. Full stops go unless a digit follows.
    """
    answer = " ".join(answer.split())
    has_number = COMMA_IN_NUMBER.search(answer) is not None
    text = answer
    for sign in PUNCTUATION:
        loose = has_number or f"{sign} " in answer or f" {sign}" in answer
        text = text.replace(sign, "" if loose else " ")
    words = FULL_STOP.sub("", text).lower().split()
    words = [NUMBERS.get(word, word) for word in words]
    return " ".join(_contraction(word) for word in words if word not in ARTICLES)


def _contraction(word: str) -> str:
    plain = word.replace("'", "")
    return plain if plain in CONTRACTED else word


def vqa_accuracy(answer: str, given: Sequence[str]) -> float:
    """Score an answer by those that people have given: 0 to 1.

    min(1, matches / 3), averaged over leaving each person out in turn: with ten people two matches
    score 0.6 and four or more score 1. given: one answer per person, the same one several times.
    """
    # differs: the official code leaves answers as they are where all people gave the same one, and
    # numbers and articles of theirs always; here both sides are written alike.
    said, people = normalise(answer), [normalise(each) for each in given]
    if len(people) == 1:  # nobody would be left
        return float(said == people[0])
    matches = sum(each == said for each in people)
    scores = [min(1.0, (matches - (each == said)) / ENOUGH) for each in people]
    return sum(scores) / len(scores)
