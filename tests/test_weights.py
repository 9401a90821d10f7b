"""A weights file rebuilds its network, or is refused with its name and a mend."""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from burstfix import weights
from burstfix.backends import BACKENDS, find
from burstfix.backends.base import Backend, Contract, Network
from burstfix.errors import OutputError, UsageError, WeightsError
from burstfix.weights import Card, load, read_card, save


@dataclass(frozen=True, kw_only=True)
class Config:
    """Of the small network that these tests save."""

    widths: tuple[int, ...] = (4, 8)
    slope: float = 0.5
    later: tuple[int, ...] = field(default=(), metadata={"added": True})


class SmallNetwork(Network):
    """Two convolutions, and a counter that is no float."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.contract = Contract(receptive_radius=2)
        self.slope = config.slope
        self.first = nn.Conv2d(3, config.widths[0], 3, padding=1)
        self.second = nn.Conv2d(config.widths[0], 3, 3, padding=1)
        self.register_buffer("steps", torch.tensor(0))

    def forward(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        del seen, descriptor
        return self.second(self.slope * self.first(burst[:, 0]))


SMALL = Backend("small", Config, SmallNetwork, "for tests")
CONFIG = Config(widths=(6, 2), slope=0.25)
CARD = Card(
    backend="small",
    config=asdict(CONFIG),
    recipe={"rate": 1e-3, "crops": [64, 128]},
    data="photos of Ægir",
    minutes=12.5,
    device="cpu",
    scores={"psnr": 31.25},
)


@pytest.fixture(autouse=True)
def small_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKENDS, "small", SMALL)


@pytest.fixture
def network() -> Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return SMALL.build(CONFIG)


@pytest.fixture
def path(network: Network, tmp_path: Path) -> Path:
    target = tmp_path / "small-burst.safetensors"
    save(network, CARD, target)
    return target


def rewrite(
    path: Path,
    change: Callable[[dict[str, Tensor], dict[str, Any]], object],
) -> None:
    """Change tensors and metadata of a file."""
    with safetensors.safe_open(path, framework="pt") as file:
        values = {key: json.loads(text) for key, text in file.metadata().items()}
    tensors = safetensors.torch.load(path.read_bytes())
    change(tensors, values)
    metadata = {key: json.dumps(value) for key, value in values.items()}
    safetensors.torch.save_file(tensors, path, metadata)


def test_a_network_comes_back_to_half_precision(path: Path, network: Network) -> None:
    loaded, _ = load(path)
    assert not loaded.training
    for name, tensor in network.state_dict().items():
        expected = tensor.half().float() if tensor.is_floating_point() else tensor
        assert torch.equal(loaded.state_dict()[name], expected)
        assert loaded.state_dict()[name].dtype == expected.dtype


def test_the_card_comes_back_with_the_hash_of_the_file(path: Path) -> None:
    _, card = load(path)
    assert card.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert card == read_card(path)
    expected = json.loads(json.dumps({**CARD.as_json(), "sha256": card.sha256}))
    assert json.loads(json.dumps(card.as_json())) == expected


def test_the_config_comes_back_in_its_own_types(path: Path) -> None:
    loaded, _ = load(path)
    assert isinstance(loaded, SmallNetwork)
    assert loaded.first.out_channels == 6
    assert loaded.slope == 0.25


Change = Callable[[dict[str, Tensor], dict[str, Any]], object]

WRONG: dict[str, tuple[Change, str]] = {
    "nan": (lambda t, _: t["first.bias"].fill_(float("nan")), "first.bias"),
    "infinity": (lambda t, _: t["first.bias"].fill_(float("inf")), "first.bias"),
    "shape": (lambda t, _: t.update({"first.bias": torch.zeros(7)}), "first.bias"),
    "missing tensor": (lambda t, _: t.pop("first.bias"), "missing: first.bias"),
    "unknown tensor": (lambda t, _: t.update(extra=torch.zeros(1)), "unknown: extra"),
    "integers": (lambda t, _: t.update({"first.bias": torch.zeros(6).int()}), "int32"),
    "format": (lambda _, m: m.update(format=99), "format 99"),
    "no format": (lambda _, m: m.pop("format"), "format unknown"),
    "unknown field": (lambda _, m: m.update(mood="good"), "unknown: mood"),
    "missing field": (lambda _, m: m.pop("licence"), "missing: licence"),
    "field type": (lambda _, m: m.update(minutes="many"), "minutes"),
    "unknown backend": (lambda _, m: m.update(backend="nosuch"), "nosuch"),
    "unknown setting": (lambda _, m: m["config"].update(depth=3), "unknown: depth"),
    "missing setting": (lambda _, m: m["config"].pop("slope"), "missing: slope"),
    "setting type": (lambda _, m: m["config"].update(slope="steep"), "steep"),
    "setting in tuple": (lambda _, m: m["config"].update(widths=[4, "x"]), "'x'"),
    "impossible setting": (lambda _, m: m["config"].update(widths=[-4, 2]), "config"),
}


def test_a_file_from_before_a_setting_was_added_takes_its_default(path: Path) -> None:
    rewrite(path, lambda _, m: m["config"].pop("later"))
    loaded, card = load(path)
    assert isinstance(loaded, SmallNetwork)
    assert "later" not in card.config


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_file_is_refused_by_name_with_a_mend(path: Path, what: str) -> None:
    change, message = WRONG[what]
    rewrite(path, change)
    with pytest.raises(WeightsError) as caught:
        load(path)
    assert caught.value.exit_code == 5
    assert str(path) in caught.value.what
    assert message in caught.value.what
    assert caught.value.mend


@pytest.mark.parametrize("content", [b"", b"no weights", b"\xff" * 100, b"\x80\x04K\x01."])
def test_what_is_no_safetensors_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="odd"):
        load(path)


def test_a_truncated_file_is_refused(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(WeightsError):
        load(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="Cannot read"):
        load(tmp_path / "none.safetensors")


def test_weights_that_overflow_are_not_saved(network: Network, tmp_path: Path) -> None:
    next(network.parameters()).data.fill_(1e6)
    with pytest.raises(WeightsError, match="half precision"):
        save(network, CARD, tmp_path / "x.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_made(network: Network, tmp_path: Path) -> None:
    save(network, CARD, tmp_path / "new" / "x.safetensors")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["x.safetensors"]


def test_a_failed_save_leaves_the_old_file(
    path: Path, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        del descriptor
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        save(network, CARD, path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_shipped_weights_are_found_by_backend_and_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "site" / "burstfix" / "weights.py"
    folder = module.parent / "weights_files"
    folder.mkdir(parents=True)
    monkeypatch.setattr(weights, "__file__", str(module))
    assert weights.default_weights("small", "burst") is None
    (folder / "small-burst.safetensors").touch()
    assert weights.default_weights("small", "burst") == folder / "small-burst.safetensors"
    assert weights.default_weights("small", "pair") is None


def test_shipped_weights_are_loaded_by_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "site" / "burstfix" / "weights.py"
    folder = module.parent / "weights_files"
    folder.mkdir(parents=True)
    path = folder / "small-burst.safetensors"
    save(SMALL.build(CONFIG), CARD, path)
    monkeypatch.setattr(weights, "__file__", str(module))
    assert weights.load(Path(path.stem))[1] == weights.load(path)[1]
    assert weights.load(Path(path.name))[1] == weights.load(path)[1]
    with pytest.raises(WeightsError):
        weights.load(Path("elsewhere") / path.name)


def test_settings_change_what_the_weights_allow(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    config = {"hidden": 0.01, "stride": 16}
    network = find("wieschollek").build(find("wieschollek").config(**config))
    weights.save(network, weights.Card(backend="wieschollek", config=asdict(network.config)), path)
    changed, card = weights.load(path, {"stride": "8", "p": "2"})
    assert changed.config.stride == 8
    assert changed.config.p == 2.0
    assert card.config["stride"] == 8
    with pytest.raises(UsageError, match="no setting"):
        weights.load(path, {"strides": "8"})
    with pytest.raises(UsageError, match="cannot be"):
        weights.load(path, {"stride": "wide"})
    with pytest.raises(WeightsError, match="makes no network"):
        weights.load(path, {"stride": "99"})
    with pytest.raises(WeightsError, match="shape"):
        weights.load(path, {"hidden": "0.02"})


def test_settings_change_a_formula_too() -> None:
    network, card = weights.find_network("fba", "burst", None, {"p": "0", "coded": "false"})
    assert card is None
    assert (network.config.p, network.config.coded) == (0.0, False)
    with pytest.raises(UsageError, match="cannot be"):
        weights.find_network("fba", "burst", None, {"block": "100"})
