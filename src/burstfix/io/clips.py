"""Clips to train on: folders of consecutive sharp frames, as a camera films them at a high rate."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from burstfix.errors import InputError
from burstfix.io.photos import SUFFIXES, Photo, decode_photo

LEAST_FRAMES = 8  # of a clip
LONGEST = 32  # frames that follow a first one
MOST_STARTS = 400  # first frames over all clips, which are kept decoded


def read_clips(source: Path, *, least: int = LEAST_FRAMES, longest: int = LONGEST) -> list[Photo]:
    """Read the frames of clips; a stretch may begin at any of many frames of each.

    Args:
        source: a folder with one folder for each clip, whose files are its frames in the order
            of their names.
        least: frames that a stretch must have.
        longest: frames that are kept after a first one.

    Returns:
        The first frames of stretches, named `clip@frame`, each with the frames that follow it.

    Raises:
        InputError: there is no clip, or frames are missing, damaged or of several sizes.
    """
    if not source.is_dir():
        raise InputError(
            f"{source} is no folder of clips.",
            "Give a folder that holds, for each clip, a folder of its frames; ffmpeg -i clip.mp4 "
            "one/%05d.png makes them from a film.",
        )
    folders = [path for path in sorted(source.iterdir()) if path.is_dir()]
    clips = [files for folder in folders if (files := _frames(folder, least))]
    if not clips:
        raise InputError(
            f"No clips in {source}.",
            f"Give a folder of folders, each with {least} or more consecutive frames: "
            f"{', '.join(SUFFIXES)}.",
        )
    starts = sum(len(files) - least + 1 for files in clips)
    stride = max(1, -(-starts // MOST_STARTS))
    return [photo for files in clips for photo in _stretches(files, stride, least, longest)]


def _frames(folder: Path, least: int) -> list[Path]:
    """List the frames of a clip, in the order of their names; refuse what is too short."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if 0 < len(files) < least:
        raise InputError(
            f"The clip {folder} has only {len(files)} frames.",
            f"A clip needs {least} or more; remove that folder.",
        )
    return files


def _stretches(files: list[Path], stride: int, least: int, longest: int) -> list[Photo]:
    """Decode first frames of one clip, every `stride`th, and keep what follows as it is."""
    data = [path.read_bytes() for path in files]
    clip = files[0].parent.name

    def stretch(start: int) -> Photo:
        later = tuple(data[start + 1 : start + 1 + longest])
        return decode_photo(f"{clip}@{files[start].stem}", data[start], later)

    with ThreadPoolExecutor() as pool:
        photos = list(pool.map(stretch, range(0, len(files) - least + 1, stride)))
    if len({photo.pixels.shape for photo in photos}) > 1:
        raise InputError(
            f"The frames of the clip {files[0].parent} differ in size.",
            "Put the frames of each clip into a folder of its own.",
        )
    return photos
