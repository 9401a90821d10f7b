"""What a plain OpenCV script makes of a burst: ECC and mean, or non-local means over frames."""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

ITERATIONS, EPSILON = 50, 1e-4  # of ECC
GAUSSIAN = 5  # px, of ECC's own smoothing
WINDOW = 7  # frames that non-local means looks at, at most


def main() -> None:
    """Align the frames to the first, fuse them, write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("method", choices=("mean", "nlmeans"))
    parser.add_argument("frames", type=Path, nargs="+", help="the first is the reference")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--reduce", type=int, default=1, help="align pictures made N times smaller")
    parser.add_argument("--strength", type=float, default=10, help="of non-local means [codes]")
    options = parser.parse_args()
    aligned = align([read(path) for path in options.frames], options.reduce)
    picture = mean(aligned) if options.method == "mean" else nlmeans(aligned, options.strength)
    if not cv2.imwrite(str(options.output), picture):
        raise SystemExit(f"Cannot write {options.output}.")
    print(json.dumps({"used": len(aligned)}))


def read(path: Path) -> Picture:
    """Read a picture; (H, W, 3) uint8, BGR."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise SystemExit(f"Cannot read {path}.")
    return np.asarray(picture, dtype=np.uint8)


def align(frames: list[Picture], reduce: int) -> list[Picture]:
    """Warp the frames onto the first by ECC; those on which it fails are left out.

    Args:
        frames: (H, W, 3) uint8 each.
        reduce: side of the blocks over which pictures are averaged before.
    """
    height, width = frames[0].shape[:2]
    template = _grey(frames[0], reduce)
    everywhere = np.full(template.shape, 255, np.uint8)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, ITERATIONS, EPSILON)
    larger, smaller = np.diag([reduce, reduce, 1.0]), np.diag([1 / reduce, 1 / reduce, 1.0])
    aligned = [frames[0]]
    for frame in frames[1:]:
        start = np.eye(3, dtype=np.float32)
        try:
            _, matrix = cv2.findTransformECC(
                template,
                _grey(frame, reduce),
                start,
                cv2.MOTION_HOMOGRAPHY,
                criteria,
                everywhere,
                GAUSSIAN,
            )
        except cv2.error:  # it does not converge
            continue
        warped = cv2.warpPerspective(
            frame,
            larger @ np.asarray(matrix) @ smaller,
            (width, height),
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT,
        )
        aligned.append(np.asarray(warped, dtype=np.uint8))
    return aligned


def mean(aligned: list[Picture]) -> Picture:
    """Average the codes; (H, W, 3) uint8."""
    total = np.zeros(aligned[0].shape, np.float32)
    for frame in aligned:
        total += frame
    return np.asarray(np.rint(total / len(aligned)), dtype=np.uint8)


def nlmeans(aligned: list[Picture], strength: float) -> Picture:
    """Denoise the first frame with the others around it; (H, W, 3) uint8."""
    half = (min(WINDOW, len(aligned)) - 1) // 2
    around = [*aligned[1 : half + 1], aligned[0], *aligned[half + 1 : 2 * half + 1]]
    picture = cv2.fastNlMeansDenoisingColoredMulti(
        around, half, 2 * half + 1, h=strength, hColor=strength
    )
    return np.asarray(picture, dtype=np.uint8)


def _grey(picture: Picture, reduce: int) -> NDArray[np.float32]:
    grey = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.float32) / np.float32(255)
    if reduce > 1:
        height, width = grey.shape[0] // reduce, grey.shape[1] // reduce
        whole = grey[: height * reduce, : width * reduce]
        return np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA))
    return grey


if __name__ == "__main__":
    main()
