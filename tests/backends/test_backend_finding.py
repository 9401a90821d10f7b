"""Backends are found by name; plug-ins too, and broken ones are named."""

from importlib.metadata import EntryPoint, EntryPoints

import pytest

from burstfix import backends
from burstfix.backends import BACKENDS, find
from burstfix.errors import UsageError


@pytest.fixture
def plug_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Install three plug-ins: a good one, one that fails to import, one that is no backend."""
    points = EntryPoints(
        EntryPoint(name, value, "burstfix.backends")
        for name, value in {
            "theirs": "burstfix.backends.mean:BACKEND",
            "broken": "no_such_module:BACKEND",
            "odd": "burstfix.backends.mean:Config",
            "fba": "no_such_module:BACKEND",
        }.items()
    )

    def entry_points(**wanted: str) -> EntryPoints:
        return points.select(**wanted)

    monkeypatch.setattr(backends, "entry_points", entry_points)


@pytest.mark.parametrize("name", BACKENDS)
def test_every_backend_is_found_by_its_own_name(name: str) -> None:
    assert find(name).name == name


def test_an_unknown_name_is_a_usage_error_that_lists_the_known() -> None:
    with pytest.raises(UsageError) as caught:
        find("maen")
    assert "Did you mean mean?" in caught.value.mend
    assert all(name in caught.value.mend for name in BACKENDS)


@pytest.mark.usefixtures("plug_ins")
def test_a_plug_in_is_found() -> None:
    assert find("theirs").name == "mean"
    assert "theirs" in backends.names()


@pytest.mark.usefixtures("plug_ins")
def test_a_plug_in_does_not_replace_what_burstfix_ships() -> None:
    assert find("fba") is BACKENDS["fba"]


@pytest.mark.usefixtures("plug_ins")
@pytest.mark.parametrize(("name", "why"), [("broken", "no_such_module"), ("odd", "no burstfix")])
def test_a_broken_plug_in_is_reported_by_name(name: str, why: str) -> None:
    with pytest.raises(UsageError, match=name) as caught:
        find(name)
    assert why in caught.value.what
