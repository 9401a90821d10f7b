"""`burstfix train flow`, `train reblur` and `video --tune` through the real entry point."""

import json
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import torch
from made import scene
from made_film import MadeFilm
from PIL import Image

from burstfix import weights
from burstfix.backends import find
from burstfix.cli.app import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    handler = signal.getsignal(signal.SIGTERM)

    def command(*arguments: object) -> tuple[int, str, str]:
        """Return the exit code, stdout and stderr."""
        monkeypatch.setattr(sys, "argv", ["burstfix", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        told = capsys.readouterr()
        code = stopped.value.code
        return (code if isinstance(code, int) else 0), told.out, told.err

    yield command
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film large enough to be made smaller for samples with truth."""
    made = MadeFilm(frames=14, size=(256, 256), step=(2, 3))
    return made.write(tmp_path_factory.mktemp("film") / "film.mp4")


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a small network for single frames."""
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    config = {"width": 4, "blocks": 1, "dropout": 0.0, "norm": "batch"}
    torch.manual_seed(0)
    backend = find("deblurgan")
    network = backend.build(backend.config(**config))
    card = weights.Card(backend="deblurgan", task="single", config=config)
    weights.save(network, card, path)
    return path


def test_flow_is_trained_and_taken_for_tuning(
    film: Path, untrained: Path, tmp_path: Path, run: Run
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(3):
        picture = np.round(scene(190, 200, seed=number) * 255).astype(np.uint8)
        Image.fromarray(picture).save(photos / f"{number:04}.png")
    recipe = tmp_path / "small.toml"
    recipe.write_text("width = 0.06\npairs = 1\nvalidation_count = 1\n[data]\ncrop = 64\n")
    flow, tuned = tmp_path / "flow.safetensors", tmp_path / "tuned.safetensors"
    code, _, err = run(
        *("train", "flow", "--data", photos, "-o", flow, "--recipe", recipe),
        *("--minutes", 0.01, "--device", "cpu"),
    )
    assert code == 0, err
    assert "flow is off by" in err
    code, _, err = run(
        *("train", "reblur", "--video", film, "-w", untrained, "-o", tuned, "--data", photos),
        *("--iterations", 2, "--flow", flow, "--flow-gradient", "--model", "warp"),
        *("--exposure-cycle", 0.5, "--device", "cpu"),
    )
    assert code == 0, err
    assert "reblurred frames held out" in err
    _, card = weights.load(tuned)
    assert card.backend == "deblurgan"


def test_tuned_weights_lie_beside_the_film_and_serve_a_run_that_goes_on(
    film: Path, untrained: Path, tmp_path: Path, run: Run
) -> None:
    output = tmp_path / "out.mp4"
    arguments = ("video", film, "-o", output, "-w", untrained, "--tune", "--json", "--end", 0.3)
    code, out, err = run(*arguments, "--tune-iterations", 3, "--device", "cpu")
    assert code == 0, err
    beside = tmp_path / "out.mp4.tuned.safetensors"
    kept = "Tuned to the film" in err
    assert kept is beside.exists()
    report = json.loads(out)
    assert report["backend_weights"] == str(beside if kept else untrained)
    if not kept:
        assert "would not help" in err
    beside.write_bytes(untrained.read_bytes())
    code, out, err = run(*arguments, "--resume", "--on-exists", "overwrite", "--device", "cpu")
    assert code == 0, err
    assert json.loads(out)["backend_weights"] == str(beside)
    assert "held out" not in err


def test_tuned_weights_replace_nothing_that_they_must_not(
    film: Path, untrained: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tuned(*_: object) -> NoReturn:
        raise AssertionError("Tuning began.")

    monkeypatch.setattr("burstfix.cli.tuning.tune_to_films", tuned)
    beside = tmp_path / "out.mp4.tuned.safetensors"
    beside.write_bytes(untrained.read_bytes())
    arguments = ("video", film, "-o", tmp_path / "out.mp4", "--tune", "--device", "cpu")
    for weights_file, on_exists, told in (
        (untrained, "fail", "exists already"),
        (untrained, "skip", "exists already"),
        (beside, "overwrite", "never replaced"),
    ):
        code, _, err = run(*arguments, "-w", weights_file, "--on-exists", on_exists)
        assert (code, told in err) == (7, True), err
        assert beside.name in err
    code, _, err = run(*arguments, "-w", untrained, "--on-exists", "overwrite")
    assert "Tuning began." in err
    assert beside.read_bytes() == untrained.read_bytes()


def test_what_cannot_be_tuned_is_told_before_work(
    film: Path, untrained: Path, tmp_path: Path, run: Run
) -> None:
    output = tmp_path / "tuned.safetensors"
    small = MadeFilm(frames=10, size=(96, 96)).write(tmp_path / "small.mp4")
    for arguments, told in (
        (("--video", film, "-b", "mean"), "no weights"),
        (("--video", film, "-w", untrained, "--flow-gradient"), "no gradient"),
        (("--video", small, "-w", untrained), "--data"),
        (("--video", film, "-w", untrained, "--exposure-cycle", 3), "exposure cycle"),
    ):
        code, _, err = run("train", "reblur", *arguments, "-o", output)
        assert code == 2
        assert told in err
    assert not output.exists()
