"""What keeps the page from being served is told in one sentence, and SIGTERM ends it at once."""

from __future__ import annotations

import shutil
import signal
import socket

import pytest
import torch
from conftest import ROOT

from explorer.errors import CannotStart, ModelUnavailable
from explorer.ui.web import startup, uploads
from explorer.vlm import checkpoints
from explorer.vlm.catalog import read_entries


def told(capsys, function, *arguments) -> str:
    """Run a step of the start that fails; gives the one line that is said of it."""
    with pytest.raises(SystemExit) as ended, startup.told():
        function(*arguments)
    out, err = capsys.readouterr()
    assert ended.value.code == startup.FAULT and out == "" and err.count("\n") == 1, err
    return err


def test_a_taken_port_is_told_and_never_exchanged_for_another(capsys, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        assert "--port" in told(capsys, startup.port, None, number)
        monkeypatch.setenv("GRADIO_SERVER_PORT", str(number))
        assert str(number) in told(capsys, startup.port, None, None)
    assert startup.port(None, None) == number, "it is free again"
    monkeypatch.setenv("GRADIO_SERVER_PORT", "eighty")
    assert "eighty" in told(capsys, startup.port, None, None)
    monkeypatch.delenv("GRADIO_SERVER_PORT")
    assert startup.port(None, None) is None
    for host, number in (("no.such.host.invalid", 7860), (None, 700_000), (None, -1)):
        told(capsys, startup.port, host, number)


@pytest.mark.parametrize("text", ["- a\n", "", "pico: [", "pico: {size: 1}", "a: 5", "{}", "\0"])
def test_a_broken_list_of_models_is_told(capsys, tmp_path, text):
    file = tmp_path / "models.yaml"
    file.write_text(text)
    assert told(capsys, read_entries, file).startswith("models.yaml")
    with pytest.raises(CannotStart):
        read_entries(tmp_path / "none.yaml")


def test_a_missing_file_of_the_page_is_named(capsys, tmp_path, monkeypatch):
    shutil.copytree(ROOT / "assets" / "page", tmp_path / "page")
    startup.check_scripts(tmp_path / "page")
    (tmp_path / "page" / "sweep" / "sweep.js").unlink()  # fetched when its tab is opened
    monkeypatch.setattr(startup, "ROOT", tmp_path)
    assert "page/sweep/sweep.js is missing" in told(
        capsys, startup.check_scripts, tmp_path / "page"
    )


def test_a_folder_that_cannot_be_written_to_is_told(capsys, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    for name in ("GRADIO_TEMP_DIR", "TMPDIR"):
        for folder in ("none", "file"):
            monkeypatch.setenv(name, str(tmp_path / folder))
            assert "TMPDIR" in told(capsys, uploads.own_folder)
        monkeypatch.delenv(name)


def test_damaged_weights_are_told(tmp_path):
    folder = tmp_path / "pico"
    shutil.copytree(ROOT / "assets" / "pico", folder)
    weights = folder / "model-00003-of-00003.safetensors"
    whole = weights.read_bytes()

    def read() -> None:
        with pytest.raises(ModelUnavailable, match="pico can't be loaded"):
            checkpoints.read("pico", folder, {"dtype": torch.float32}, lambda progress: None)

    weights.write_bytes(whole[: len(whole) // 2])
    read()
    weights.write_bytes(whole[:-400] + b"\xff\xff\xff\x7f" * 100)  # bits that make no number
    read()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 0x40]))  # the highest bit of an exponent
    read()


def test_sigterm_ends_the_process_at_once_and_takes_the_uploads_along(tmp_path, monkeypatch):
    ended, handlers = [], {}
    monkeypatch.setattr(
        startup.signal, "signal", lambda number, does: handlers.update({number: does})
    )
    monkeypatch.setattr(startup.os, "kill", lambda *what: ended.append(what))
    monkeypatch.setattr(startup.atexit, "register", lambda *_, **__: None)
    folder = tmp_path / "uploads"
    folder.mkdir()
    startup.delete_at_the_end(folder)
    handlers[signal.SIGTERM](signal.SIGTERM, None)
    assert not folder.exists() and ended == [(startup.os.getpid(), signal.SIGTERM)]
    assert handlers[signal.SIGTERM] == signal.SIG_DFL
