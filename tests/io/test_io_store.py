"""Stored codes: in memory or in a file, every box reads the same light."""

import threading

import numpy as np
import pytest
import torch

from burstfix import color
from burstfix.frame import Box, Curve, TensorPixels
from burstfix.io.decoded import Codes
from burstfix.io.store import Spill, StoredCodes, reduced_luminance

RANDOM = np.random.default_rng(0)
CODES: dict[str, Codes] = {
    "uint8": RANDOM.integers(0, 256, (61, 47, 3), dtype=np.uint8),
    "uint16": RANDOM.integers(0, 65536, (61, 47, 3), dtype=np.uint16),
    "float32": RANDOM.normal(0.4, 1, (61, 47, 3)).astype(np.float32),
}
CURVES = [color.LINEAR, color.SRGB, Curve(g=1.8), color.NEUTRAL]
BOXES = [Box(0, 0, 61, 47), Box(5, 7, 6, 8), Box(60, 0, 61, 47), Box(10, 20, 40, 47)]


def spilled(codes: Codes) -> Spill:
    spill = Spill(codes.shape, codes.dtype)
    for top in range(0, len(codes), 16):
        spill.write_rows(top, codes[top : top + 16].data.cast("B"))
    return spill


@pytest.mark.parametrize("kind", CODES)
@pytest.mark.parametrize("curve", CURVES, ids=["linear", "srgb", "gamma", "table"])
def test_light_is_what_the_curve_says(kind: str, curve: Curve) -> None:
    codes = CODES[kind]
    full = np.iinfo(codes.dtype).max if codes.dtype.kind == "u" else 1
    scaled = torch.from_numpy(codes.astype(np.float64) / full).float()
    expected = color.decode(scaled, curve).permute(2, 0, 1)
    light = StoredCodes(codes, curve).read(Box(0, 0, 61, 47))
    assert light.is_contiguous()
    assert light.dtype == torch.float32
    torch.testing.assert_close(light, expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("kind", CODES)
@pytest.mark.parametrize("box", BOXES)
def test_spilled_codes_read_the_same_light_to_the_bit(kind: str, box: Box) -> None:
    codes = CODES[kind]
    kept, written = StoredCodes(codes, color.SRGB), StoredCodes(spilled(codes), color.SRGB)
    assert (kept.spilled, written.spilled) == (False, True)
    assert kept.stored_bytes == written.stored_bytes == codes.nbytes
    assert torch.equal(kept.read(box), written.read(box))
    for factor in (1, 3, 8):
        assert torch.equal(kept.reduced_luminance(factor), written.reduced_luminance(factor))


@pytest.mark.parametrize("curve", [color.SRGB, Curve(g=2.2), Curve(g=1.8)])
def test_every_8_bit_code_survives_light_and_back(curve: Curve) -> None:
    codes = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    light = StoredCodes(codes, curve).read(Box(0, 0, 16, 16))
    again = (color.encode(light, curve) * 255).round().byte()
    np.testing.assert_array_equal(again.permute(1, 2, 0).numpy(), codes)


def test_the_black_code_is_no_light_and_smaller_ones_are_negative() -> None:
    codes = np.array([[[0, 3855, 65535]]], np.uint16)
    light = StoredCodes(codes, color.LINEAR, black=3855).read(Box(0, 0, 1, 1))
    np.testing.assert_allclose(light.flatten(), [-1 / 16, 0, 1], atol=1e-6)


@pytest.mark.parametrize("kind", CODES)
@pytest.mark.parametrize("factor", [1, 2, 5, 16])
def test_reduced_luminance_is_the_mean_of_squares(kind: str, factor: int) -> None:
    pixels = StoredCodes(CODES[kind], color.SRGB)
    height, width = 61 // factor, 47 // factor
    light = pixels.read(Box(0, 0, height * factor, width * factor))
    squares = color.luminance(light).reshape(height, factor, width, factor)
    expected = squares.mean(dim=(1, 3))
    whole = TensorPixels(pixels.read(Box(0, 0, 61, 47)))
    for source in (pixels, whole):
        torch.testing.assert_close(
            reduced_luminance(source, factor), expected, rtol=1e-4, atol=1e-5
        )


def test_reducing_by_more_than_the_picture_gives_nothing() -> None:
    pixels = StoredCodes(CODES["uint8"], color.SRGB)
    assert reduced_luminance(pixels, 64).numel() == 0


def test_an_empty_box_reads_no_pixels() -> None:
    for codes in (CODES["uint8"], spilled(CODES["uint8"])):
        assert StoredCodes(codes, color.SRGB).read(Box(3, 3, 3, 9)).shape == (3, 0, 6)


def test_threads_do_not_disturb_each_other() -> None:
    codes = np.arange(64, dtype=np.uint8)[:, None, None].repeat(40, 1).repeat(3, 2)
    pixels = StoredCodes(spilled(codes), color.LINEAR)
    wrong: list[int] = []

    def read_often(row: int) -> None:
        for _ in range(200):
            light = pixels.read(Box(row, 5, row + 4, 25))
            if not torch.equal((light[0, :, 0] * 255).round(), torch.arange(row, row + 4.0)):
                wrong.append(row)

    threads = [threading.Thread(target=read_often, args=(row,)) for row in (0, 20, 40, 59)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
