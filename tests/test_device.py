"""Devices and memory are found, or said to be missing."""

import sys
from pathlib import Path

import pytest
import torch

from burstfix import device
from burstfix.errors import DeviceError, UsageError

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "CPU ", ""])
def test_an_unknown_device_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError, match="no device"):
        device.choose(name)


def test_the_cpu_is_always_there() -> None:
    assert device.choose("cpu") == CPU


def test_auto_takes_the_cpu_where_nothing_else_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(device, "_has_mps", lambda: False)
    assert device.choose("auto") == CPU


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps"])
def test_a_missing_device_exits_with_6_and_a_mend(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(device, "_has_mps", lambda: False)
    with pytest.raises(DeviceError) as caught:
        device.choose(name)
    assert caught.value.exit_code == 6
    assert "--device auto" in caught.value.mend


def test_a_device_number_beyond_the_last_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device.choose("cuda:1") == torch.device("cuda:1")
    with pytest.raises(DeviceError, match="no CUDA device 2"):
        device.choose("cuda:2")


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("4", 4 << 30),
        ("1.5G", 3 << 29),
        ("800M", 800 << 20),
        ("800 MB", 800 << 20),
        ("2GiB", 2 << 30),
        ("64k", 64 << 10),
        ("1t", 1 << 40),
    ],
)
def test_memory_is_read_in_gigabytes_or_its_unit(text: str, amount: int) -> None:
    assert device.parse_memory(text) == amount


@pytest.mark.parametrize("text", ["", "0", "-1", "four", "4 apples", "1e9", "nan", "G"])
def test_what_is_no_memory_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="no amount of memory"):
        device.parse_memory(text)


def test_an_explicit_precision_is_obeyed() -> None:
    assert device.choose_precision("fp32", CPU) == torch.float32
    assert device.choose_precision("bf16", CPU) == torch.bfloat16
    assert device.choose_precision("fp16", CPU) == torch.float16


@pytest.mark.parametrize(("native", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_precision_is_bf16_where_the_processor_computes_it(
    native: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "_cpu_computes_bf16", lambda: native)
    assert device.choose_precision("auto", CPU) == dtype


def test_free_memory_is_some_but_not_more_than_a_petabyte() -> None:
    assert 1 << 20 < device.free_memory(CPU) < 1 << 50


def test_a_cgroup_limit_bounds_free_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("700000\n")
    (tmp_path / "memory.stat").write_text("anon 400000\ninactive_file 100000\n")
    monkeypatch.setattr(device, "_cgroup_folders", lambda: [tmp_path])
    assert device.free_memory(CPU) == 1_000_000 - 700_000 + 100_000


def test_an_unlimited_cgroup_bounds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("700000\n")
    monkeypatch.setattr(device, "_cgroup_folders", lambda: [tmp_path])
    assert device._free_cgroup_memory() == [sys.maxsize]


def test_at_least_one_core_may_be_used() -> None:
    assert device.cores() >= 1
