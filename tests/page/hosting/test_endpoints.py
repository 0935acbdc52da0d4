"""The endpoints of a running app: only the named ones, pure, safe with many clients.

What the functions gave the app is kept, so that none of them is asked twice; what they would search
for long is made up, as what they find has tests of its own.
"""

from __future__ import annotations

import base64
import inspect
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import wraps
from pathlib import Path

import httpx
import numpy as np
import pytest
from canned import Canned, Recording
from conftest import ROOT, hosted
from gradio.utils import get_upload_folder
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from explorer import analyses
from explorer.analyses.attribution.importance import Target
from explorer.analyses.diagnosis.records import QUESTIONS
from explorer.analyses.effects import things
from explorer.cases.request import CaseRequest
from explorer.methods.chance import chance_of
from explorer.pico.data import scenes
from explorer.ui.session import UseCases

MADE_UP = ("explain", "diagnose", "probe", "describe", "stability")
PATIENT = {"timeout": 60}  # seconds: a client gives up after five, however busy the machine is


class Kept:
    """Use cases that keep what they were last asked and what they gave, by their names."""

    def __init__(self) -> None:
        self.asked: dict[str, dict] = {}
        self.given: dict[str, object] = {}

    def use_cases(self, canned: UseCases) -> UseCases:
        plain = UseCases(**{name: getattr(canned, name) for name in MADE_UP})
        names = ("analyse", "compare", "sweep", *MADE_UP)
        return replace(plain, **{name: self._keeping(name, getattr(plain, name)) for name in names})

    def _keeping(self, name: str, function: Callable) -> Callable:
        @wraps(function)
        def call(*args: object, **options: object) -> object:
            self.asked[name] = inspect.signature(function).bind(*args, **options).arguments
            found = function(*args, **options)
            if inspect.isgenerator(found):
                return self._steps(name, found)
            self.given[name] = found
            return found

        return call

    def _steps(self, name: str, values: Iterator[object]) -> Iterator[object]:
        self.given[name] = []
        for value in values:
            self.given[name].append(value)
            yield value

    def told(self, name: str, picture: Path, question: str, **options: object) -> object:
        """What a function gave that was asked just this."""
        asked = self.asked[name]
        assert asked["request"].id == CaseRequest.make("pico", picture, question).id
        assert {key: asked[key] for key in options} == options
        return self.given[name]


@pytest.fixture(scope="module")
def kept() -> Kept:
    return Kept()


@pytest.fixture(scope="module")
def url(kept: Kept, recording: Recording) -> Iterator[str]:
    with hosted(use_cases=kept.use_cases(Canned(recording).use_cases())) as address:
        yield address


@pytest.fixture(scope="module")
def client(url) -> Client:
    return Client(url, verbose=False, httpx_kwargs=PATIENT)


@pytest.fixture
def picture(tmp_path) -> Path:
    path = tmp_path / "picture.png"
    scenes.make(5).image.save(path)
    return path


def test_only_the_named_endpoints_are_public(client):
    endpoints = client.view_api(return_format="dict")
    assert set(endpoints["named_endpoints"]) == {
        "/analyse", "/answer", "/compare", "/diagnose", "/effects", "/inside", "/oracle",
        "/sweep",
    }  # fmt: skip
    assert not endpoints["unnamed_endpoints"]
    for name, endpoint in endpoints["named_endpoints"].items():
        needed = [
            p["parameter_name"] for p in endpoint["parameters"] if not p["parameter_has_default"]
        ]
        assert needed == ["image", "question"], f"{name}: all else has a sensible default"


def test_analyse_gives_scores_of_every_method(client, kept, picture):
    case = client.predict(handle_file(picture), "where is the bus ?", "pico", api_name="/analyse")
    own = kept.told("analyse", picture, "where is the bus ?")
    assert case["id"] == own.id
    for told, found in zip(case["methods"], own.methods, strict=True):
        scores = np.frombuffer(base64.b64decode(told["score"]), "<f4")
        assert np.allclose(scores, found.score, rtol=1e-4, atol=1e-6)


def test_answer_is_what_the_function_gives(client, picture):
    arguments = ("what is in the middle ?", "visionzip", 64)
    told = client.predict(handle_file(picture), *arguments, "pico", api_name="/answer")
    question, *rest = arguments
    own = analyses.answer(CaseRequest.make("pico", picture, question), *rest)
    assert told["text"] == own.text
    assert told["layers"] == list(own.layers)
    assert told["flops"] == own.flops
    told = told["dominance"]
    assert told["text"] == own.dominance.text
    assert told["with_first"]["text"] == told["text"] + 1
    assert told["with_first"]["mdi"] == pytest.approx(own.dominance_with_first.mdi, rel=1e-3)


def test_compare_is_what_the_function_gives(client, kept, picture):
    question = "what is in the middle ?"
    told = client.predict(
        handle_file(picture), question, 40, "fastv, divprune", "pico", api_name="/compare"
    )
    own = kept.told("compare", picture, question, budget=40, methods=["fastv", "divprune"])
    assert [each["method"] for each in told["methods"]] == [each.method for each in own.methods]
    assert [each["kept"] for each in told["methods"]] == [e.kept.tolist() for e in own.methods]
    assert told["disputed"] == own.keep_counts.tolist()
    assert len(told["random"]["draws"]) == len(own.random.draws)
    randoms = {each["method"]: each["random"]["method"] for each in told["methods"]}
    assert randoms["fastv"] == "random_inside" and randoms["divprune"] == "random"
    assert told["jaccard"][0][2] is None, "pooling keeps no patch as it was"
    with pytest.raises(AppError, match="nomethod"):
        client.predict(handle_file(picture), question, 40, "nomethod", "pico", api_name="/compare")


def test_sweep_is_what_the_function_gives(client, kept, picture):
    question = "what is in the middle ?"
    ask = [handle_file(picture), question, "fastv, divprune"]
    told = client.predict(*ask, "24, 196, 64", "pico", api_name="/sweep")
    own = kept.told("sweep", picture, question, methods=["fastv", "divprune"])
    assert told["budgets"] == [24, 64, 196]
    for each, swept in zip(told["methods"], own.methods, strict=True):
        assert each["method"] == swept.method and each["floor"] == swept.floor
        assert (each["k_star"], each["flips"]) == (swept.k_star, swept.n_flips)
        assert each["area"] == pytest.approx(swept.auc, abs=1e-3)
        assert each["area_of_random"] == pytest.approx(swept.auc_random, abs=1e-3)
        assert [point["text"] for point in each["points"]] == [a.text for a in swept.answers]
        assert [point["budget"] for point in each["points"]] == list(swept.budgets)
        assert each["points"][-1]["mdi"]["late"] > 0
        assert {c["method"] for c in each["random"]} == {chance_of(swept.method)}
    assert [each["same"] for each in told["random"]] == [c.same for c in own.random]
    assert len(told["draws"]) >= 5
    with pytest.raises(AppError, match="whole numbers"):
        client.predict(*ask, "24; 64", "pico", api_name="/sweep")
    with pytest.raises(AppError, match="from 1 to 196"):
        client.predict(*ask, "24, 500", "pico", api_name="/sweep")


def test_oracle_is_what_the_function_gives(client, kept, picture):
    case = ("what is in the middle ?", "a bus", "removed", "pico")
    told = client.predict(handle_file(picture), *case, api_name="/oracle")
    *_, own = kept.told("explain", picture, case[0], target=Target(text="a bus"), way="removed")
    assert told["answer"] == own.answer == "a bus" and told["way"] == "removed"
    assert np.allclose(told["values"], own.values, rtol=1e-3, atol=1e-5)
    assert told["worth"] == pytest.approx(own.full - own.none, rel=1e-3)
    with pytest.raises(AppError, match="does not know"):
        client.predict(handle_file(picture), case[0], "zzzz", "removed", "pico", api_name="/oracle")


def test_diagnose_is_what_the_function_gives(client, kept, picture):
    question = "what is in the middle ?"
    for truth in ("", "a submarine"):
        ask = (handle_file(picture), question, "clsattn", 64, truth, "pico")
        told = client.predict(*ask, api_name="/diagnose")
        about = {"method": "clsattn", "budget": 64, "truth": truth or None}
        *_, own = kept.told("diagnose", picture, question, **about)
        assert told["verdict"] == own.verdict and told["truth"] == own.truth == (truth or None)
        assert [step["key"] for step in told["steps"]] == list(QUESTIONS)
        assert [step["finding"] for step in told["steps"]] == [s.finding for s in own.steps]


def test_effects_are_what_the_functions_give(client, kept, picture):
    question, absent = "what is at the top ?", "zebra"
    ask = [handle_file(picture), question]
    told = client.predict(*ask, "clock", absent, "divprune", 40, "pico", api_name="/effects")
    named = things.typed("clock", absent)
    own = kept.told("probe", picture, question, things=named, method="divprune")
    assert [each["thing"] for each in told["probes"]] == ["clock", "zebra"]
    for each, found in zip(told["probes"], own, strict=True):
        assert [a["text"] for a in each["answers"]] == [a.text for a in found.answers]
        assert each["full"]["p_yes"] == pytest.approx(found.full.p_yes, rel=1e-3)
    assert {row["n"] for row in told["totals"]} == {2}
    captions = kept.told("describe", picture, question, method="divprune")
    assert [each["text"] for each in told["captions"]] == [each.text for each in captions]
    assert len(captions) == 9 and told["captions"][0]["recall"] == 1
    stability = kept.told("stability", picture, question, method="divprune", budget=40)
    assert told["stability"]["budget"] == 40
    assert told["stability"]["subsets"] == list(stability.subsets)
    with pytest.raises(AppError, match="named twice"):
        client.predict(*ask, "dog", "dog", "divprune", 40, "pico", api_name="/effects")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("what is it ?", "nomethod", 64, "pico"), "nomethod"),
        (("what is it ?", "clsattn", 500, "pico"), "196"),
        (("what is it ?", "clsattn", -1, "pico"), "196"),
        (("what is it ?", "clsattn", 64, "nomodel"), "nomodel"),
        (("", "clsattn", 64, "pico"), "question"),
    ],
)
def test_bad_arguments_get_a_sentence(client, picture, arguments, words):
    with pytest.raises(AppError, match=re.escape(words)):
        client.predict(handle_file(picture), *arguments, api_name="/answer")


def test_a_model_that_can_not_be_had_is_on_its_way_and_then_says_so(client, picture):
    ask = [handle_file(picture), "what is it ?", "clsattn", 64, "llava-1.5-7b"]
    said = ""
    for _ in range(40):
        with pytest.raises(AppError) as caught:
            client.predict(*ask, api_name="/answer")
        said = str(caught.value)
        if "on its way" not in said:
            break
        time.sleep(0.5)
    assert "pico" in said


def test_a_file_that_is_no_picture_gets_a_sentence_and_is_deleted(client, tmp_path):
    fake = tmp_path / "no picture at all.jpg"
    fake.write_text("these are notes")
    with pytest.raises(AppError, match="picture"):
        client.predict(handle_file(fake), "what is it ?", "pico", api_name="/analyse")
    assert not list(Path(get_upload_folder()).rglob("no*picture*.jpg"))


def test_files_of_the_server_can_not_be_asked_for(client):
    stolen = {
        "path": str(ROOT / "assets" / "pico" / "config.json"),
        "meta": {"_type": "gradio.FileData"},
    }
    with pytest.raises((AppError, ValueError)):
        client.predict(stolen, "what is it ?", "pico", api_name="/analyse")


def test_no_message_makes_a_file_of_the_server_an_upload(url, picture, tmp_path):
    """Sent as no client would: Gradio looks only at what says of itself that it is a file."""
    (tmp_path / "link.png").symlink_to(picture)
    plain = {"path": str(picture)}
    messages = [
        ("analyse", plain | more)
        for more in ({}, {"url": "/file=a.png"}, {"meta": {"_type": "gradio.FileData"}})
    ]
    messages += [
        (endpoint, plain)
        for endpoint in ("answer", "compare", "diagnose", "effects", "sweep", "oracle")
    ]
    others = (tmp_path / "link.png", tmp_path, "/dev/zero", "/nowhere.png", "a\0b")
    messages += [("analyse", {"path": str(path)}) for path in others]
    for endpoint, message in messages:
        call = f"{url}/gradio_api/call/{endpoint}"
        sent = httpx.post(call, json={"data": [message, "what is in the middle ?"]}, timeout=60)
        if sent.status_code != 200:  # refused before it is queued
            continue
        text = httpx.get(f"{call}/{sent.json()['event_id']}", timeout=60).text
        assert "event: error" in text and "event: complete" not in text, (endpoint, message)


def test_eight_clients_get_their_own_answers(url, tmp_path):
    told: dict[int, dict] = {}
    question = "what is in the middle ?"

    def visit(seed: int) -> None:
        path = tmp_path / f"{seed}.png"
        scenes.make(seed).image.save(path)
        told[seed] = Client(url, verbose=False, httpx_kwargs=PATIENT).predict(
            handle_file(path),
            question,
            "clsattn",
            40 + seed,
            "pico",
            api_name="/answer",
        )

    threads = [threading.Thread(target=visit, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in range(8):
        own = analyses.answer(
            CaseRequest.make("pico", scenes.make(seed).image, question), "clsattn", 40 + seed
        )
        assert told[seed]["text"] == own.text
        assert told[seed]["budget"] == 40 + seed
        assert told[seed]["p_full"] == pytest.approx(own.p_full, abs=1e-4), "another's picture"
    assert len({told[seed]["p_full"] for seed in range(8)}) == 8


def test_the_example_in_the_readme_runs(url, picture, capsys):
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S).group(1)
    code = code.replace("http://127.0.0.1:7860", url).replace("picture.png", str(picture))
    exec(compile(code, "README.md", "exec"), {})
    assert "[64, 64" in capsys.readouterr().out


def test_a_picture_of_one_colour_is_no_trouble(client, tmp_path):
    path = tmp_path / "black.png"
    Image.new("RGB", (30, 300)).save(path)
    case = client.predict(handle_file(path), "what do you see ?", "pico", api_name="/analyse")
    assert len(case["grid"]["padding"]) > 0
