import json
from pathlib import Path

import pytest

from burstfix.backends.set.cells import CELL
from burstfix.errors import UsageError
from burstfix.train.config import RECIPES, Recipe, Stage, parse_recipe, read_recipe


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_recipe_is_read_by_its_name(path: Path) -> None:
    recipe = read_recipe(path.stem)
    assert recipe.stages[-1].until == 1.0
    assert recipe.settings(recipe.stages[0].crop).crop == recipe.stages[0].crop


def test_bursts_for_a_gpu_are_made_as_those_for_a_cpu() -> None:
    assert read_recipe("set-burst-gpu").data == read_recipe("set-burst").data


def test_where_blur_is_learned_crops_are_of_whole_cells() -> None:
    for path in RECIPES.glob("set-*.toml"):
        recipe = read_recipe(path.stem)
        if recipe.loss.of_blur:
            assert all(stage.crop % CELL == 0 for stage in recipe.stages), path.stem


def test_a_recipe_file_overrides_what_it_names_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text("rate = 0.5\nlengths = [4]\n[data]\njpeg_share = 0.0\n")
    recipe = read_recipe(str(path))
    assert recipe.rate == 0.5
    assert recipe.lengths == (4,)
    assert recipe.settings(64).jpeg_share == 0
    assert recipe.momentum == Recipe().momentum


@pytest.mark.parametrize(
    "text",
    ["speed = 9", "rate = ", "[loss]\nfear = 1", "[data]\nrain = 1", "[[stages]]\ncrop = 100"],
)
def test_what_is_no_recipe_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"wrong\.toml"):
        read_recipe(str(path))


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(UsageError, match="set-burst"):
        read_recipe("no-such")


def test_a_recipe_survives_being_written_as_json() -> None:
    recipe = Recipe(stages=(Stage(until=0.5, crop=64), Stage(crop=128)), data={"jpeg_share": 0.0})
    assert parse_recipe(json.loads(recipe.to_json()), "json") == recipe


def test_stages_follow_each_other() -> None:
    recipe = Recipe(stages=(Stage(until=0.5, crop=64), Stage(until=1.0, crop=128)))
    assert [recipe.stage(progress).crop for progress in (0, 0.49, 0.5, 1.0)] == [64, 64, 128, 128]
