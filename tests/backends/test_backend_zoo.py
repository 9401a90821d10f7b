"""Networks of other programs: the contract, the tiles, and what is refused."""

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from burstfix.backends import zoo
from burstfix.backends.base import plain_descriptor
from burstfix.backends.zoo import ZooNetwork
from burstfix.color import SRGB, decode, encode
from burstfix.errors import UsageError, WeightsError
from burstfix.restore.network import load_network
from burstfix.restore.options import Options
from burstfix.tiling import TensorSource, run_whole
from burstfix.weights import is_foreign

CPU = torch.device("cpu")


class Strided(nn.Module):
    """Two convolutions about a halving, so that sides must be even."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 8, 4, 2, 1)
        self.up = nn.ConvTranspose2d(8, 3, 4, 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        assert image.shape[-1] % 2 == image.shape[-2] % 2 == 0
        changed: Tensor = self.up(torch.tanh(self.down(image)))
        return image + changed


@dataclass
class MadeDescriptor:
    """What spandrel tells of a network, of one made here."""

    model: nn.Module = field(default_factory=Strided)
    scale: int = 1
    input_channels: int = 3
    output_channels: int = 3
    supports_half: bool = False
    supports_bfloat16: bool = True
    purpose: str = "Restoration"
    size_requirements: SimpleNamespace = field(
        default_factory=lambda: SimpleNamespace(multiple_of=2)
    )
    architecture: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(name="Strided"))
    seen: list[Tensor] = field(default_factory=list)

    def __call__(self, image: Tensor, /) -> Tensor:
        self.seen.append(image)
        result: Tensor = self.model(image).clamp(0, 1)
        return result


@pytest.fixture
def made() -> MadeDescriptor:
    torch.manual_seed(0)
    return MadeDescriptor()


def restore(network: ZooNetwork, light: Tensor, tile: int) -> Tensor:
    return run_whole(
        network,
        TensorSource(light[None], torch.ones(1, 1, *light.shape[-2:])),
        descriptor=plain_descriptor(1),
        device=CPU,
        precision="fp32",
        tile=tile,
    )


def test_pictures_of_any_size_come_and_go_display_coded(made: MadeDescriptor) -> None:
    light = torch.rand(3, 61, 83)
    result = restore(ZooNetwork(made), light, tile=64)
    assert result.shape == light.shape
    whole = nn.functional.pad(encode(light, SRGB)[None], (0, 1, 0, 1), mode="replicate")
    with torch.inference_mode():
        expected = decode(made.model(whole).clamp(0, 1)[0, :, :61, :83], SRGB)
    inside = (slice(None), slice(0, 55), slice(0, 77))  # padding of the edge is tiling's own
    torch.testing.assert_close(result[inside], expected[inside], atol=1e-5, rtol=1e-4)


def test_tiles_give_the_whole_picture_where_the_network_looks_no_farther_than_the_halo(
    made: MadeDescriptor,
) -> None:
    network, light = ZooNetwork(made), torch.rand(3, 150, 220)
    torch.testing.assert_close(restore(network, light, 64), restore(network, light, 512))


def test_light_beyond_display_is_cut_before_the_network_sees_it(made: MadeDescriptor) -> None:
    restore(ZooNetwork(made), torch.randn(3, 40, 40), tile=64)
    assert all(image.amin() >= 0 and image.amax() <= 1 for image in made.seen)


def test_half_precision_that_is_not_supported_is_not_used(made: MadeDescriptor) -> None:
    network, burst = ZooNetwork(made), torch.rand(1, 1, 3, 16, 16)
    known, seen = plain_descriptor(1), torch.ones(1, 1, 1, 16, 16)
    with torch.inference_mode():
        full = network(burst, seen, known)
        with torch.autocast("cpu", dtype=torch.float16):
            assert torch.equal(network(burst, seen, known), full)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert not torch.equal(network(burst, seen, known), full)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"purpose": "SR", "scale": 4}, "SR at scale 4"),
        ({"purpose": "Inpainting"}, "Inpainting"),
        ({"input_channels": 1, "output_channels": 1}, "1 channels"),
    ],
)
def test_what_restores_no_rgb_picture_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        ZooNetwork(MadeDescriptor(**change))


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("name", ["w.pth", "w.PT", "w.ckpt", "w.bin"])
def test_a_pickle_is_refused_unread_and_the_message_says_why(tmp_path: Path, name: str) -> None:
    torch.save({"x": Evil(tmp_path / "ran")}, tmp_path / name)
    with pytest.raises(WeightsError, match="any code") as refusal:
        load_network("single", Options(weights=tmp_path / name))
    assert "--allow-pickle" in refusal.value.mend
    assert not (tmp_path / "ran").exists()


class UnsupportedModelError(Exception):
    """As spandrel's."""


@pytest.fixture
def spandrel(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A stand-in for spandrel, which knows one architecture."""

    class ModelLoader:
        def load_from_state_dict(self, state: dict[str, Tensor]) -> MadeDescriptor:
            if "down.weight" not in state:
                raise UnsupportedModelError
            made = MadeDescriptor()
            made.model.load_state_dict(state)
            return made

    def canonicalize_state_dict(state: dict[str, Any]) -> dict[str, Any]:
        inner: dict[str, Any] = state.get("params", state)
        return inner

    module = ModuleType("spandrel")
    parts = (ModelLoader, canonicalize_state_dict, UnsupportedModelError)
    module.__dict__.update({part.__name__: part for part in parts})
    monkeypatch.setitem(sys.modules, "spandrel", module)
    return module


@pytest.mark.usefixtures("spandrel")
def test_a_pickle_that_is_allowed_is_read_but_its_code_is_not_run(tmp_path: Path) -> None:
    state = Strided().state_dict()
    torch.save({"params": state, "x": Evil(tmp_path / "ran")}, tmp_path / "evil.pth")
    with pytest.raises(WeightsError, match="more than tensors"):
        zoo.load(tmp_path / "evil.pth", allow_pickle=True)
    assert not (tmp_path / "ran").exists()
    torch.save({"params": state}, tmp_path / "good.pth")
    network, name = zoo.load(tmp_path / "good.pth", allow_pickle=True)
    assert name == "Strided"
    assert all(torch.equal(network.model.state_dict()[key], state[key]) for key in state)


@pytest.mark.usefixtures("spandrel")
def test_safetensors_of_other_programs_load_for_single_and_are_told(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    safetensors.torch.save_file(Strided().state_dict(), path, {"format": "pt"})
    loaded = load_network("single", Options(weights=path))
    assert (loaded.backend, loaded.path, len(loaded.sha256 or "")) == ("zoo Strided", path, 64)
    with pytest.raises(UsageError, match="no settings"):
        load_network("single", Options(weights=path, settings={"stride": "2"}))
    with pytest.raises(WeightsError, match="no weights file"):
        load_network("burst", Options(weights=path))


@pytest.mark.usefixtures("spandrel")
def test_an_unknown_architecture_and_a_damaged_file_are_weights_errors(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    safetensors.torch.save_file({"a": torch.ones(1)}, path)
    with pytest.raises(WeightsError, match="no architecture"):
        load_network("single", Options(weights=path))
    safetensors.torch.save_file({"down.weight": torch.ones(1)}, path)
    with pytest.raises(WeightsError, match="makes no network"):
        load_network("single", Options(weights=path))
    (tmp_path / "cut.pth").write_bytes(b"PK\3\4")
    with pytest.raises(WeightsError, match="can be read"):
        load_network("single", Options(weights=tmp_path / "cut.pth", allow_pickle=True))


def test_without_spandrel_the_message_tells_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "other.safetensors"
    safetensors.torch.save_file({"a": torch.ones(1)}, path)
    monkeypatch.setitem(sys.modules, "spandrel", None)
    with pytest.raises(UsageError, match="spandrel") as refusal:
        load_network("single", Options(weights=path))
    assert "burstfix[zoo]" in refusal.value.mend


def test_our_own_weights_and_missing_files_are_not_foreign(tmp_path: Path) -> None:
    assert not is_foreign(tmp_path / "missing.safetensors")
    ours = {"backend": '"set"', "format": "1"}
    safetensors.torch.save_file({"a": torch.ones(1)}, tmp_path / "ours.safetensors", ours)
    assert not is_foreign(tmp_path / "ours.safetensors")


def test_the_real_spandrel_builds_nafnet(tmp_path: Path) -> None:
    pytest.importorskip("torchvision", exc_type=ImportError)
    architecture = pytest.importorskip("spandrel.architectures.NAFNet", exc_type=ImportError)
    torch.manual_seed(0)
    small = architecture.NAFNet(width=8, enc_blk_nums=[1], middle_blk_num=1, dec_blk_nums=[1])
    path = tmp_path / "nafnet.safetensors"
    safetensors.torch.save_file(small.state_dict(), path)
    network, name = zoo.load(path)
    assert name == "NAFNet"
    light = torch.rand(3, 37, 50)
    # Its blocks begin as the identity, and its ends are convolutions that were not trained.
    assert restore(network, light, tile=64).shape == light.shape
