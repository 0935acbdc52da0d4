"""POPE's questions and counts, and CHAIR's reading of captions."""

from __future__ import annotations

import random

import pytest

from explorer.metrics.effects import chair, pope
from explorer.metrics.effects.pope import Confusion, Corpus
from parity.reading import Golden


def run_pope(golden: Golden) -> None:
    """The recorded questions have the generator's "imange" where a name begins with a vowel."""
    pictures = [names.split("|") for names in golden["objects"]]
    corpus = Corpus(pictures)
    for strategy in pope.STRATEGIES:
        lot = random.Random(int(golden["random_seed"]))
        asked = [probe for names in pictures for probe in pope.probes(names, corpus, strategy, lot)]
        assert [probe.thing for probe in asked] == golden[f"{strategy}_object"]
        assert [probe.there for probe in asked] == [x == "yes" for x in golden[f"{strategy}_label"]]
        texts = [text.replace("imange", "image") for text in golden[f"{strategy}_text"]]
        assert [probe.question for probe in asked] == texts
    said = [pope.says_yes(answer) for answer in golden["answers"]]
    assert said == golden["pred"].bool().tolist()
    found = Confusion.of(said, [label == "yes" for label in golden["labels"]])
    counts = [found.tp, found.fp, found.tn, found.fn]
    assert counts == golden["confusion_TP_FP_TN_FN"].tolist()
    for name in ("accuracy", "precision", "recall", "f1", "yes_ratio"):
        assert getattr(found, name) == pytest.approx(float(golden[name]), abs=1e-6), name


def strip_one_s(word: str) -> str:
    """The recording's rule for plurals."""
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def run_chair(golden: Golden) -> None:
    synonyms = [line.split(", ") for line in golden["synonyms"]]
    lexicon = chair.Lexicon.of(synonyms, singular=strip_one_s)
    pairs = zip(golden["captions"], golden["gt"], strict=True)
    read = [chair.Captioned.of(text, there.split("|"), lexicon) for text, there in pairs]
    for each, generated, wrong in zip(
        read, golden["generated"], golden["hallucinated"], strict=True
    ):
        assert [m.thing for m in each.mentions] == [x for x in generated.split("|") if x]
        assert [m.thing for m in each.hallucinated] == [x for x in wrong.split("|") if x]
    assert chair.chair_i(read) == pytest.approx(float(golden["CHAIRi"]), abs=1e-6)
    assert chair.chair_s(read) == pytest.approx(float(golden["CHAIRs"]), abs=1e-6)
    assert [each.chair_i for each in read] == pytest.approx(
        golden["per_caption_CHAIRi"].tolist(), abs=1e-6
    )
    assert [each.chair_s for each in read] == golden["per_caption_CHAIRs"].tolist()


RUNNERS = {"pope": run_pope, "chair": run_chair}
