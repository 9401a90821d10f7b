"""The backends that burstfix ships, and those that plug in."""

from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points

from burstfix.backends import (
    aittala,
    deblur_merger,
    deblur_rnn,
    deblurgan,
    dvd,
    fba,
    mean,
    multiscale,
)
from burstfix.backends.base import Backend
from burstfix.backends.set import BACKEND as SET
from burstfix.backends.wieschollek import BACKEND as WIESCHOLLEK
from burstfix.errors import UsageError

BACKENDS = {
    backend.name: backend
    for backend in (
        SET,
        aittala.BACKEND,
        WIESCHOLLEK,
        deblur_rnn.BACKEND,
        deblur_merger.BACKEND,
        multiscale.BACKEND,
        deblurgan.BACKEND,
        dvd.BACKEND,
        mean.BACKEND,
        fba.BACKEND,
    )
}

_GROUP = "burstfix.backends"  # entry points of other packages, each naming a Backend


def names() -> list[str]:
    """Return the names of all backends, plug-ins too, without loading a plug-in."""
    return [*BACKENDS, *sorted(entry_points(group=_GROUP).names.difference(BACKENDS))]


def find(name: str) -> Backend:
    """Return the backend of a name; what burstfix ships goes before plug-ins.

    Raises:
        UsageError: no backend has this name, or its plug-in is broken.
    """
    if name in BACKENDS:
        return BACKENDS[name]
    for point in entry_points(group=_GROUP, name=name):
        return _load(point)
    close = get_close_matches(name, names(), n=1)
    hint = f"Did you mean {close[0]}? " if close else ""
    raise UsageError(f"No backend is called {name}.", f"{hint}There are: {', '.join(names())}.")


def _load(point: EntryPoint) -> Backend:
    try:
        backend = point.load()
    except Exception as error:  # foreign code may raise anything; it is reported, not hidden
        raise UsageError(
            f"The plug-in {point.name} ({point.value}) fails to load: {error!r}.",
            "Update or uninstall the package that brings it, or choose another backend.",
        ) from error
    if not isinstance(backend, Backend):
        raise UsageError(
            f"The plug-in {point.name} ({point.value}) is no burstfix backend.",
            "Its entry point must name a burstfix.backends.base.Backend.",
        )
    return backend
