"""Align two pictures by matched features and MAGSAC, with whatever OpenCV runs this.

Imports nothing of burstfix, so that another Python can run it as a script: OpenCV 5's wheels
have no AKAZE, those of OpenCV 4 do.
"""

import json
import sys
import time

import cv2
import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint8]

MOST_SIFT = 4000  # features
RATIO = 0.8  # of the distances to the best match and to the second, beyond which both are left
NEAR = 1.0  # pixels that matches of MAGSAC lie off


def main() -> None:
    """Read two pictures from .npy files, print the homography and the time it took as JSON."""
    reference, frame = (np.load(path) for path in sys.argv[1:3])
    start = time.perf_counter()
    try:
        matrix = match(reference, frame, "AKAZE").tolist()
    except cv2.error:
        matrix = None
    seconds = time.perf_counter() - start
    print(json.dumps({"matrix": matrix, "seconds": seconds, "opencv": cv2.__version__}))


def match(reference: Codes, frame: Codes, kind: str, reduce: int = 4) -> NDArray[np.float64]:
    """Return the homography frame_from_reference in pixels of the reduced pictures.

    Args:
        reference: (H, W) uint8.
        frame: the other, likewise.
        kind: AKAZE or SIFT.
        reduce: side of the blocks over which both are averaged before.

    Raises:
        cv2.error: too few features match.
    """
    akaze = kind == "AKAZE"
    detector = getattr(cv2, f"{kind}_create")(*() if akaze else (MOST_SIFT,))
    size = (reference.shape[1] // reduce, reference.shape[0] // reduce)
    found = [
        detector.detectAndCompute(cv2.resize(code, size, interpolation=cv2.INTER_AREA), None)
        for code in (reference, frame)
    ]
    if any(descriptors is None or len(descriptors) < 4 for _, descriptors in found):
        raise cv2.error("too few features")
    matcher = cv2.BFMatcher(cv2.NORM_HAMMING if akaze else cv2.NORM_L2)
    pairs = [pair for pair in matcher.knnMatch(found[0][1], found[1][1], k=2) if len(pair) == 2]
    good = [best for best, second in pairs if best.distance < RATIO * second.distance]
    if len(good) < 4:
        raise cv2.error("too few matches")
    one = np.array([found[0][0][pair.queryIdx].pt for pair in good])
    other = np.array([found[1][0][pair.trainIdx].pt for pair in good])
    matrix, _ = cv2.findHomography(one, other, cv2.USAC_MAGSAC, NEAR, maxIters=5000)
    if matrix is None:
        raise cv2.error("too few matches that agree")
    return np.asarray(matrix, dtype=np.float64)


if __name__ == "__main__":
    main()
