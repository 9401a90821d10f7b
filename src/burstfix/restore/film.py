"""What films are made of: the frames of a clip, or pictures in a folder, as moments in light."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Protocol, TypeVar

from burstfix.color import SRGB
from burstfix.errors import InputError, UsageError
from burstfix.frame import Curve, Frame, Metadata, Size
from burstfix.io import icc
from burstfix.io.ahead import AheadReader, most_code_bytes
from burstfix.io.decode import read_frame
from burstfix.io.primaries import match_primaries
from burstfix.io.store import StoredCodes
from burstfix.io.video import Clip, ClipInfo, open_clip
from burstfix.io.video.planes import PlaneFormat
from burstfix.io.video.tags import Tags, luma_weights
from burstfix.restore.inputs import RASTER_SUFFIXES, RAW_SUFFIXES, find_bursts
from burstfix.restore.window import Moment

T = TypeVar("T")

_STILL_TAGS = Tags(matrix=1, range=1, transfer=13, primaries=1)  # sRGB's curve and primaries


class Film(Protocol):
    """Frames that follow each other."""

    @property
    def info(self) -> ClipInfo:
        """What is known of it."""
        ...

    @property
    def source(self) -> Path | None:
        """The file that sound may be copied from."""
        ...

    @property
    def look(self) -> tuple[Curve, Metadata]:
        """How single frames of it are coded, and labelled."""
        ...

    def moments(self, start: int | None) -> Iterator[Moment]:
        """Read frames, from a time on [ticks]; None is the beginning."""
        ...


@dataclass(frozen=True)
class ClipFilm:
    """A film in a file."""

    clip: Clip

    @property
    def info(self) -> ClipInfo:
        """What is known of it."""
        return self.clip.info

    @property
    def source(self) -> Path:
        """Its file."""
        return self.clip.info.path

    @property
    def look(self) -> tuple[Curve, Metadata]:
        """Codes stay what they are, and are shown as sRGB, as other tools label them."""
        return self.clip.info.curve, Metadata()

    def moments(self, start: int | None) -> Iterator[Moment]:
        """Read frames; see `Film`."""
        for picture in self.clip.pictures(start):
            yield Moment(self.clip.light(picture), picture.time, picture.duration)


@dataclass(frozen=True)
class StillsFilm:
    """Pictures in order, each shown equally long."""

    paths: tuple[Path, ...]
    info: ClipInfo
    first: Frame
    colours: Frame  # whose primaries all are brought to

    @property
    def source(self) -> None:
        """Pictures have no sound."""
        return

    @property
    def look(self) -> tuple[Curve, Metadata]:
        """That of the first picture."""
        return self.first.curve, Metadata(icc=self.first.metadata.icc)

    def moments(self, start: int | None) -> Iterator[Moment]:
        """Read frames; see `Film`."""
        tick = int(self.info.clock / (self.info.rate or 1))
        size = most_code_bytes(self.info.size)
        with AheadReader() as reader:
            for number in range(max(0, start or 0) // tick, len(self.paths)):
                # Raw ones with the white balance of the first: else colours would flicker.
                frame = reader.read(self.paths[number], size, self.first.white_balance)
                light = self._alike(frame).whole()
                if number + 1 < len(self.paths):
                    following = self.paths[number + 1]
                    reader.begin(following, 2 * size, self.first.white_balance)
                yield Moment(light, number * tick, tick, self.paths[number].stem)

    def _alike(self, frame: Frame) -> Frame:
        """Bring a frame to the film's primaries; refuse one that cannot be of this film."""
        matched, unlike = match_primaries([self.colours, frame], 0)
        strange = bool(unlike) and frame.metadata.icc != self.first.metadata.icc
        if strange or frame.size != self.first.size or frame.curve != self.first.curve:
            raise InputError(
                f"{frame.path} has another size or colour profile than {self.paths[0]}.",
                "Put the frames of each film into a folder of their own; convert pictures with an "
                "unusual profile to sRGB.",
            )
        return matched[1]


@contextmanager
def open_film(paths: Sequence[Path], rate: Fraction, *, stills: bool = False) -> Iterator[Film]:
    """Open a film: a file, or the pictures that are its frames.

    Args:
        paths: as of `find_film`.
        rate: of pictures, in a second.
        stills: whether pictures come back as pictures, with the first one's colour profile; a film
            has sRGB's primaries.

    Raises:
        InputError: it cannot be read.
    """
    if not is_picture(paths[0]):
        with open_clip(paths[0]) as clip:
            yield ClipFilm(clip)
        return
    first = read_frame(paths[0])
    plain = replace(first, metadata=replace(first.metadata, icc=b""))
    info = _stills_info(paths, first, rate)
    yield StillsFilm(tuple(paths), info, first, first if stills else plain)


def find_film(arguments: Sequence[str | Path]) -> tuple[Path, ...]:
    """Expand what was named to one film: a file, or the pictures that are its frames, in order.

    Raises:
        InputError: something does not exist, or is empty.
        UsageError: several films were named.
    """
    plain = [Path(text) for text in arguments]
    if len(plain) == 1 and plain[0].is_file():
        return (plain[0],)
    bursts = find_bursts(arguments)
    files = tuple(path for burst in bursts for path in burst.files)
    if (len(files) > 1 and not all(is_picture(path) for path in files)) or len(bursts) > 1:
        raise UsageError(
            f"{len(files)} files were named, which are not the frames of one film.",
            "Name one film, or one folder of frames; restore several films one by one.",
        )
    return files


def ahead(items: Iterator[T]) -> Iterator[T]:
    """Make the next item in a thread while this one is used."""
    end = object()
    with ThreadPoolExecutor(max_workers=1) as pool:
        future = pool.submit(next, items, end)
        while (item := future.result()) is not end:
            future = pool.submit(next, items, end)
            yield item  # type: ignore[misc] # no end any more


def is_picture(path: Path) -> bool:
    """Tell whether a file is one frame, by its name, and no film."""
    return path.suffix.lower() in RASTER_SUFFIXES | RAW_SUFFIXES


def _stills_info(paths: Sequence[Path], first: Frame, rate: Fraction) -> ClipInfo:
    pixels = first.pixels
    return pictures_info(
        paths[0].parent,
        first.size,
        len(paths),
        rate,
        bits=10 if isinstance(pixels, StoredCodes) and pixels.bits > 8 else 8,
        curve=first.curve if first.raw else SRGB,
        notes=_notes(first),
    )


def _notes(first: Frame) -> tuple[str, ...]:
    """Tell what of the pictures a film cannot keep."""
    if icc.primaries(first.metadata.icc) is None:
        return ("The pictures' colour profile cannot be converted; colours are taken as they are.",)
    if first.raw or first.curve == SRGB:
        return ()
    return ("Films carry no colour profile: sRGB is written.",)


def pictures_info(
    path: Path,
    size: Size,
    frames: int,
    rate: Fraction,
    *,
    bits: int = 8,
    curve: Curve = SRGB,
    notes: tuple[str, ...] = (),
) -> ClipInfo:
    """Tell what a film made of pictures is like: of sRGB's colours.

    Args:
        path: where the pictures are.
        size: (height, width) of all.
        frames: how many.
        rate: in a second.
        bits: of the film's codes.
        curve: how light becomes them; raw files look as their pictures do.
        notes: what of the pictures cannot be kept.
    """
    return ClipInfo(
        path=path,
        size=size,
        clock=rate.numerator,
        rate=rate,
        codec="pictures",
        kind=PlaneFormat(
            size=size,
            chroma="420",
            bits=bits,
            full=False,
            luma=luma_weights(_STILL_TAGS, size),
            curve=curve,
        ),
        tags=_STILL_TAGS,
        frames=frames,
        length_s=float(frames / rate),
        notes=notes,
    )
