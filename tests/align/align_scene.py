"""A made-up scene larger than the picture, seen through known homographies and blur."""

from dataclasses import dataclass

import cv2
import numpy as np

MARGIN = 96


@dataclass(frozen=True)
class Camera:
    """Takes pictures of one scene."""

    canvas: np.ndarray  # linear light; (H + 2 MARGIN, W + 2 MARGIN) float32
    size: tuple[int, int]

    def take(
        self,
        scene_from_frame: np.ndarray,
        *,
        psf: np.ndarray | None = None,
        noise: float = 0.0,
        exposure: float = 1.0,
        seed: int = 0,
    ) -> np.ndarray:
        """Return a frame, clipped to 0..1; (H, W) float32."""
        corner = np.array([[1, 0, MARGIN], [0, 1, MARGIN], [0, 0, 1.0]])
        light = cv2.warpPerspective(
            self.canvas,
            corner @ scene_from_frame,
            self.size[::-1],
            flags=cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP,
        )
        if psf is not None:
            light = cv2.filter2D(light, -1, psf[::-1, ::-1], borderType=cv2.BORDER_REFLECT_101)
        light = light * exposure + np.random.default_rng(seed).normal(0, noise, light.shape)
        return np.clip(light, 0, 1).astype(np.float32)


def hand_shake(
    size: tuple[int, int], *, degrees: float, right: float, down: float, keystone: float = 0.0
) -> np.ndarray:
    """Return a turn about the centre with a shift and a little perspective; (3, 3)."""
    height, width = size
    center = np.array([[1, 0, (width - 1) / 2], [0, 1, (height - 1) / 2], [0, 0, 1]])
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[c, -s, right], [s, c, down], [keystone / width, keystone / height / 2, 1]])
    return center @ turn @ np.linalg.inv(center)


def shaken_psf(length: float, seed: int) -> np.ndarray:
    """Return a lopsided path of a camera, its centroid in the middle; odd-sided, sums to 1."""
    random = np.random.default_rng(seed)
    velocity = np.zeros((400, 2))
    for step in range(1, 400):
        velocity[step] = 0.97 * velocity[step - 1] + random.normal(size=2)
    path = np.cumsum(velocity, axis=0)
    path = (path - path.mean(axis=0)) * (length / np.ptp(path, axis=0).max())
    radius = int(np.ceil(np.abs(path).max())) + 2
    psf = np.zeros((2 * radius + 1, 2 * radius + 1), np.float32)
    for x, y in path + radius:
        column, row = int(x), int(y)
        fx, fy = x - column, y - row
        psf[row, column] += (1 - fx) * (1 - fy)
        psf[row, column + 1] += fx * (1 - fy)
        psf[row + 1, column] += (1 - fx) * fy
        psf[row + 1, column + 1] += fx * fy
    return psf / psf.sum()


def make_camera(size: tuple[int, int], seed: int) -> Camera:
    """Make a scene of discs and bars of all sizes."""
    random = np.random.default_rng(seed)
    height, width = (side + 2 * MARGIN for side in size)
    canvas = np.full((height, width), 0.25, np.float32)
    for _ in range(height * width // 900):
        center = (int(random.integers(width)), int(random.integers(height)))
        light = float(random.uniform(0.02, 0.7))
        radius = int(min(2 + random.pareto(1.2) * 3, 60))
        if random.random() < 0.5:
            cv2.circle(canvas, center, radius, light, -1)
        else:
            far = (center[0] + radius, center[1] + int(random.integers(1, 2 * radius)))
            cv2.rectangle(canvas, center, far, light, -1)
    return Camera(cv2.GaussianBlur(canvas, (0, 0), 0.8), size)
