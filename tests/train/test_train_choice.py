import dataclasses
import json
from pathlib import Path

import pytest
import torch

from burstfix.backends import find
from burstfix.train.choice import choose_recipe, deal, fit, recipe_name
from burstfix.train.config import Recipe, read_recipe
from burstfix.train.processes import Processes
from burstfix.weights import Card, save


@pytest.mark.parametrize(
    ("kind", "minutes", "memory", "name"),
    [
        ("cuda", 3, 80 << 30, "set-burst-gpu"),
        ("cuda", 60, 8 << 30, "set-burst-gpu"),
        ("cuda", 60, 4 << 30, "set-burst"),
        ("cpu", 3, 0, "set-burst-quick"),
        ("cpu", 60, 0, "set-burst"),
        ("mps", 3, 0, "set-burst"),
    ],
)
def test_the_recipe_suits_the_device_and_the_time(
    kind: str, minutes: float, memory: int, name: str
) -> None:
    assert recipe_name(kind, minutes, memory) == name


def test_on_a_gpu_its_own_memory_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclasses.dataclass
    class Properties:
        total_memory: int

    asked: list[torch.device] = []

    def properties(device: torch.device) -> Properties:
        asked.append(device)
        return Properties(total_memory=80 << 30)

    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
    assert choose_recipe(torch.device("cuda:1"), 30) == read_recipe("set-burst-gpu")
    assert asked == [torch.device("cuda:1")]


def test_weights_to_begin_with_decide_the_size_of_the_network(tmp_path: Path) -> None:
    backend = find("set")
    config = backend.config(frame_widths=(8, 8, 8, 8), trunk_widths=(8, 8, 8, 8))
    path = tmp_path / "small.safetensors"
    save(backend.build(config), Card(backend="set", config=dataclasses.asdict(config)), path)
    recipe = read_recipe("set-burst-quick")
    assert fit(recipe, None) == recipe
    fitted = fit(recipe, path)
    assert fitted.network == json.loads(json.dumps(dataclasses.asdict(config)))
    assert dataclasses.replace(fitted, network=recipe.network) == recipe
    other = read_recipe("aittala-burst")
    assert fit(other, path) == other


def test_weights_for_bursts_do_not_widen_the_network_for_single_frames(tmp_path: Path) -> None:
    backend = find("set")
    config = backend.config(frame_widths=(8, 8, 8, 8), trunk_widths=(8, 8, 8, 8))
    recipe = choose_recipe(torch.device("cpu"), 60, "single")
    assert recipe == read_recipe("set-single")
    for task, same in (("burst", True), ("single", False)):
        path = tmp_path / f"{task}.safetensors"
        card = Card(backend="set", task=task, config=dataclasses.asdict(config))
        save(backend.build(config), card, path)
        assert (fit(recipe, path) == recipe) is same


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("shards", [1, 2])
def test_every_process_gets_as_many_shards_and_none_is_lost(shards: int, count: int) -> None:
    dealt = deal(Recipe(shards=shards), count)
    parts = [Processes(rank, count).shards(dealt.shards) for rank in range(count)]
    assert len({len(part) for part in parts}) == 1
    assert dealt.shards >= max(shards, count)
    if count == 1:
        assert dealt == Recipe(shards=shards)


def test_processes_of_torchrun_share_the_chosen_recipe() -> None:
    recipe = deal(choose_recipe(torch.device("cpu"), 3), 8)
    assert Processes(7, 8).shards(recipe.shards) == range(7, 8)


def test_pairs_have_one_recipe_which_every_number_of_processes_can_share() -> None:
    recipe = choose_recipe(torch.device("cpu"), 3, "pair")
    assert recipe == read_recipe("set-pair")
    assert deal(recipe, 4).shards % 4 == 0
