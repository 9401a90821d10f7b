import numpy as np
import pytest
import torch

from burstfix import color
from burstfix.frame import Curve
from burstfix.io.coder import Coder

GAMMA_TABLE = tuple((np.linspace(0, 1, 1024) ** 2.2).tolist())
SHORT_TABLE = tuple((0.01 + 0.9 * np.linspace(0, 1, 33) ** 3).tolist())  # ends short of white
STEP_TABLE = (0.0, 0.1, 0.1, 0.5, 0.5 + 1e-7, 1.0)  # codes lie closer than segments


@pytest.mark.parametrize("bit_depth", [8, 16])
@pytest.mark.parametrize(
    "curve",
    [
        color.SRGB,
        color.LINEAR,
        color.NEUTRAL,
        Curve(g=2.2),
        Curve(g=1.8),
        Curve(table=GAMMA_TABLE),
        Curve(table=SHORT_TABLE),
    ],
)
def test_an_untouched_code_comes_out_as_it_went_in(curve: Curve, bit_depth: int) -> None:
    codes = torch.arange(2**bit_depth)
    light = color.decode(codes.float() / (2**bit_depth - 1), curve).expand(3, 1, -1)
    out = np.empty((1, len(codes), 3), np.uint8 if bit_depth == 8 else np.uint16)
    Coder(curve, 2**bit_depth - 1).code(light.numpy(), out)
    for channel in range(3):
        assert np.array_equal(out[0, :, channel], codes.numpy())


@pytest.mark.parametrize(
    "curve", [color.SRGB, color.NEUTRAL, Curve(table=SHORT_TABLE), Curve(table=STEP_TABLE)]
)
def test_coding_between_codes_rounds_to_the_nearest(curve: Curve) -> None:
    torch.manual_seed(3)
    light = torch.cat([torch.rand(20_000), torch.rand(20_000) ** 6, torch.linspace(-0.1, 1.2, 999)])
    out = np.empty((1, len(light), 3), np.uint16)
    Coder(curve, 65535).code(light.expand(3, 1, -1).numpy(), out)
    exact = color.encode(light.clamp(0, 1), curve).clamp(0, 1).double() * 65535
    assert np.abs(out[0, :, 0] - exact.numpy()).max() < 0.52
