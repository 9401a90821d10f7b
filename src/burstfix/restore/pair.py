"""One picture from a short, noisy and a long, shaken exposure: tell them apart, match, fuse."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from burstfix.backends.base import DESCRIPTOR
from burstfix.frame import Frame
from burstfix.restore.alignment import Aligned
from burstfix.restore.kinds import Named, find_kinds, kinds_by_name, kinds_told
from burstfix.restore.network import Loaded
from burstfix.restore.options import Options
from burstfix.restore.pair_alignment import align_pair, measure_noise
from burstfix.restore.recorder import Recorder
from burstfix.restore.report import Report, Reporter
from burstfix.restore.steps import Steps, plan, restore


def restore_pair(
    paths: Sequence[Path],
    output: Path,
    options: Options | None = None,
    reporter: Reporter | None = None,
    *,
    noisy: Collection[Path] = (),
    blurry: Collection[Path] = (),
) -> Report:
    """Restore one picture from short, noisy and long, shaken exposures of a scene, and write it.

    The result has the geometry of the sharpest noisy frame, and the exposure and colour of the
    sharpest blurry one.

    Args:
        paths: the frames' files, one or several of each kind.
        output: the picture to write; its extension chooses the format.
        options: None takes the defaults. `reference` is not heeded.
        reporter: receives progress and messages; None is silent.
        noisy: which of `paths` are known to be noisy; the others are then blurry.
        blurry: which are known to be blurry; with neither, exposure times or pixels tell.

    Raises:
        BurstfixError: whatever keeps the picture from being made; nothing is then written.
    """
    task = _Pair(Named(noisy=tuple(noisy), blurry=tuple(blurry)))
    kinds_by_name(paths, task.named)  # a contradiction is told before work
    return restore(Steps(task="pair", align=task.align), paths, output, options, reporter)


def plan_pair(
    paths: Sequence[Path],
    output: Path,
    options: Options | None = None,
    *,
    noisy: Collection[Path] = (),
    blurry: Collection[Path] = (),
) -> Report:
    """Check what can be checked without decoding pixels, and tell which frame is which if known.

    Raises:
        BurstfixError: what `restore_pair` would raise for the same reasons.
    """
    named = Named(noisy=tuple(noisy), blurry=tuple(blurry))
    kinds_by_name(paths, named)
    report, looks = plan("pair", paths, output, options or Options())
    kinds = kinds_told([look.path for look in looks], [look.metadata for look in looks], named)
    report.told_by = kinds.by if kinds else "pixels"
    if kinds:
        of = dict(zip((str(look.path) for look in looks), kinds.named(), strict=True))
        report.frames = [replace(frame, kind=of.get(frame.path, "")) for frame in report.frames]
    return report


@dataclass(frozen=True)
class _Pair:
    """A pair on its way.

    Args:
        named: what the user said of the frames.
    """

    named: Named

    def align(
        self, frames: list[Frame], loaded: Loaded, options: Options, recorder: Recorder
    ) -> Aligned:
        """Tell the frames apart, align and match them, and make them what the network takes."""
        del options
        kinds = find_kinds(frames, self.named)
        aligned, match = align_pair(frames, kinds, recorder)
        report = recorder.report
        report.told_by, report.colour = kinds.by, match.gains
        recorder.note(
            f"Told apart by {kinds.by}; red, green and blue of the noisy frame were scaled by "
            + ", ".join(f"{gain:.3g}" for gain in match.gains)
            + "."
        )
        if loaded.trained_for != "pair":
            recorder.note(f"There are no weights for pairs: those for {loaded.trained_for} serve.")
            aligned = replace(aligned, descriptor=_against_reference(aligned.descriptor))
        elif loaded.heeds_noise:
            aligned = measure_noise(aligned)
        if loaded.network.contract.frames == 2 and len(aligned.order) > 2:
            noisy = sum(number in kinds.noisy for number in aligned.order)
            aligned = replace(aligned, merged=(noisy, len(aligned.order) - noisy))
        return aligned


def _against_reference(descriptor: Tensor) -> Tensor:
    """Tell gains against the reference's, as weights for bursts know them; (1, F, D)."""
    told = descriptor.clone()
    gain = DESCRIPTOR.index("gain_ev")
    told[..., gain] -= descriptor[:, :1, gain]
    return told
