"""`burstfix video`: frames a second at 1280x720, and memory over the film's length."""

import argparse
import json
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from common import BURSTFIX, print_table, run, write_result

RATE = 30
NOISE = 4.0  # standard deviation of codes


def main() -> None:
    """Restore films of several lengths; print a table and write JSON."""
    options = _arguments()
    results = []
    with tempfile.TemporaryDirectory() as place:
        for frames in options.frames:
            film = make_film(Path(place) / f"{frames}.mp4", frames, (options.height, options.width))
            command: list[str | Path] = [
                *BURSTFIX,
                "video",
                film,
                "-o",
                film.with_suffix(".out.mp4"),
            ]
            command += ["--backend", options.backend, "--json", "--quiet"]
            command += ["--weights", options.weights] if options.weights else []
            measured = run(command)
            report = json.loads(measured.output)
            if report["frames"] != frames:
                raise RuntimeError(f"{report['frames']} of {frames} frames were written.")
            results.append(
                {
                    "frames": frames,
                    "seconds": measured.seconds,
                    "cpu_s": measured.cpu_seconds,
                    "frames_per_s": report["frames_per_s"],
                    "neighbours": report["neighbours"],
                    "peak_bytes": measured.peak_bytes,
                    "device": report["device"],
                }
            )
    print_table(
        ["frames", "s", "CPU s a frame", "frames/s", "peak GB", "neighbours"],
        [
            [
                str(row["frames"]),
                f"{row['seconds']:.1f}",
                f"{row['cpu_s'] / row['frames']:.2f}",
                f"{row['frames_per_s']:.2f}",
                f"{(row['peak_bytes'] or 0) / 1e9:.2f}",
                f"{row['neighbours']:.1f}",
            ]
            for row in results
        ],
    )
    print(f"Wrote {write_result('video', options, {'films': results})}")


def make_film(path: Path, frames: int, size: tuple[int, int]) -> Path:
    """Write a film of a camera that wanders and shakes over a picture of blobs, with noise.

    Args:
        path: the file.
        frames: how many.
        size: (height, width).
    """
    height, width = size
    random = np.random.default_rng(0)
    noise = random.normal(0, 1, (height * 2, width * 2, 3)).astype(np.float32)
    scales = [cv2.GaussianBlur(noise, (0, 0), 2.0**level) * 2.0**level for level in range(6)]
    scene = np.clip(110 + 40 * sum(scales), 0, 255)
    grain = random.normal(0, NOISE, (8, height, width, 3)).astype(np.float32)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "ultrafast"})
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for number in range(frames):
            turn = 2 * np.pi * number / 90
            move = (width / 2 * (1 + 0.6 * np.sin(turn)), height / 2 * (1 + 0.6 * np.cos(2 * turn)))
            shift = np.array([[1, 0, -move[0]], [0, 1, -move[1]]])
            view = cv2.warpAffine(scene, shift, (width, height)) + grain[number % 8]
            codes = np.clip(view + 0.5, 0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(codes, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, nargs="+", default=[60, 600], help="of each film")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--backend", default="mean")
    parser.add_argument("--weights", type=Path, help="of the backend; the shipped ones by default")
    parser.add_argument("--json", type=Path, help="where the figures go")
    return parser.parse_args()


if __name__ == "__main__":
    main()
