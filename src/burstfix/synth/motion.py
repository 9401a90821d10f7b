"""Motion of the camera and of things: shake that varies over the picture, parallax, layers."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from burstfix.synth.resample import pixel_grid, sample, transform


def rigid(shift: Tensor, angle: Tensor, centre: tuple[float, float] | Tensor) -> Tensor:
    """Make homographies that turn about a centre, then shift.

    Args:
        shift: (x, y) [px]; (n, 2).
        angle: from the x to the y axis, in radians; (n,).
        centre: (x, y) that the turning leaves in place; one for all, or (n, 2).

    Returns:
        (n, 3, 3), of the dtype of `shift`.
    """
    cosine, sine = angle.cos(), angle.sin()
    x, y = centre.unbind(-1) if isinstance(centre, Tensor) else centre
    matrices = torch.zeros(len(shift), 3, 3, dtype=shift.dtype, device=shift.device)
    matrices[:, 0, 0] = matrices[:, 1, 1] = cosine
    matrices[:, 0, 1], matrices[:, 1, 0] = -sine, sine
    matrices[:, 0, 2] = x - cosine * x + sine * y + shift[:, 0]
    matrices[:, 1, 2] = y - sine * x - cosine * y + shift[:, 1]
    matrices[:, 2, 2] = 1
    return matrices


def shifts(shift: Tensor) -> Tensor:
    """Make homographies that shift by (x, y) [px]; (n, 2) to (n, 3, 3)."""
    matrices = torch.eye(3, dtype=shift.dtype, device=shift.device).repeat(len(shift), 1, 1)
    matrices[:, :2, 2] = shift
    return matrices


def inverse(matrices: Tensor) -> Tensor:
    """Invert matrices that can be: whether they can is not asked, for a GPU would be waited for."""
    found: Tensor = torch.linalg.inv_ex(matrices).inverse
    return found


def corner_homographies(offsets: Tensor, size: tuple[int, int]) -> Tensor:
    """Find the homographies that move a picture's corners by given offsets.

    Args:
        offsets: (x, y) of the top left, top right, bottom right, bottom left [px]; (n, 4, 2).
        size: (height, width).

    Returns:
        Homographies that map the picture's corners to the moved ones; (n, 3, 3).
    """
    height, width = size
    precise = (offsets.cpu() if offsets.device.type == "mps" else offsets).double()
    corners = torch.tensor(
        [[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]],
        dtype=torch.float64,
        device=precise.device,
    )
    x, y = corners.expand(len(offsets), -1, -1).unbind(-1)
    u, v = (corners + precise).unbind(-1)
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    rows_u = torch.stack([x, y, one, zero, zero, zero, -u * x, -u * y], dim=-1)
    rows_v = torch.stack([zero, zero, zero, x, y, one, -v * x, -v * y], dim=-1)
    solved = torch.linalg.solve(torch.cat([rows_u, rows_v], 1), torch.cat([u, v], 1))
    return torch.cat([solved, one[:, :1]], dim=1).view(-1, 3, 3).to(offsets)


def shake_homographies(
    paths: Tensor, roll: Tensor, centre: tuple[float, float], steps: int
) -> Tensor:
    """Turn paths of the camera into homographies over the exposure.

    Args:
        paths: shift (x, y) over time, centred on the origin [px]; (n, T, 2).
        roll: angle over time, centred on 0, in radians; (n, T).
        centre: (x, y) of the optical axis, which may lie outside a crop [px].
        steps: how many moments to take of each path.

    Returns:
        Homographies, each with the blur's centroid at rest in `centre`; (n, steps, 3, 3).
    """
    moments = torch.linspace(0, paths.shape[1] - 1, steps, device=paths.device).round().long()
    shift, angle = paths[:, moments], roll[:, moments]
    shift = shift - shift.mean(dim=1, keepdim=True)
    angle = angle - angle.mean(dim=1, keepdim=True)
    return rigid(shift.flatten(0, 1), angle.flatten(), centre).view(-1, steps, 3, 3)


def shake(images: Tensor, source_from_moment: Tensor) -> Tensor:
    """Blur pictures by averaging what the camera saw at each moment of its path.

    Args:
        images: linear light; (n, c, h, w).
        source_from_moment: where each moment's pixels lie in the picture; (n, T, 3, 3).

    Returns:
        Blurred pictures; (n, c, h, w).
    """
    grid = pixel_grid(images.shape[-2:], device=images.device, dtype=images.dtype)
    total = torch.zeros_like(images)
    for homographies in source_from_moment.unbind(1):
        total += sample(images, transform(homographies, grid), "bilinear")
    return total / source_from_moment.shape[1]


def smooth_noise(
    shape: tuple[int, int, int, int], cells: int, generator: torch.Generator
) -> Tensor:
    """Draw smooth random fields with about `cells` bumps a side; mean 0, deviation near 1."""
    seeds = torch.randn(
        *shape[:2], cells + 3, cells + 3, generator=generator, device=generator.device
    )
    # The bicubic border is flat: draw wider, and cut it off.
    wide = [math.ceil(side * (cells + 3) / cells) for side in shape[2:]]
    field = F.interpolate(seeds, size=wide, mode="bicubic", align_corners=True)
    top, left = (wide[0] - shape[2]) // 2, (wide[1] - shape[3]) // 2
    return 1.3 * field[..., top : top + shape[2], left : left + shape[3]]


def parallax(
    count: int, size: tuple[int, int], amplitude: Tensor, generator: torch.Generator
) -> Tensor:
    """Draw flows as depth leaves them after a homography: smooth, along one direction.

    Args:
        count: how many flows.
        size: (height, width).
        amplitude: standard deviation of each [px]; (count,).
        generator: draws depth and directions; same device as `amplitude`.

    Returns:
        Offsets (x, y) [px]; (count, height, width, 2).
    """
    # Few cells, so a coarse grid holds them; bicubic steps on the fine one would cost the most.
    coarse = smooth_noise((count, 1, 16, 16), 3, generator)
    depth = F.interpolate(coarse, size=size, mode="bilinear", align_corners=True).squeeze(1)
    angle = torch.rand(count, generator=generator, device=generator.device) * 2 * math.pi
    direction = torch.stack([angle.cos(), angle.sin()], dim=-1) * amplitude.view(-1, 1)
    return depth.unsqueeze(-1) * direction.view(-1, 1, 1, 2)


def blobs(count: int, size: Sequence[int], generator: torch.Generator) -> Tensor:
    """Cut out ragged shapes with an edge of about a pixel: masks for moving things.

    Returns:
        1 inside, 0 outside, touching no border; (count, 1, height, width).
    """
    device = generator.device
    field = smooth_noise((count, 1, size[0], size[1]), 6, generator)
    middle = torch.rand(count, 2, generator=generator, device=device) - 0.5
    radius = 0.3 + 0.3 * torch.rand(count, 1, 1, 1, generator=generator, device=device)
    y = torch.linspace(-1, 1, size[0], device=device).view(1, 1, -1, 1)
    x = torch.linspace(-1, 1, size[1], device=device)
    across, down = (part.view(-1, 1, 1, 1) for part in middle.unbind(-1))
    distance = ((x - across) ** 2 + (y - down) ** 2).sqrt()
    height = 1 - distance / radius  # above 0 inside; falls by 1 over a radius
    # Whatever touched the border would be smeared across the picture once it moves.
    inset = 1 - torch.maximum(x.abs(), y.abs())
    ragged = torch.minimum(height, 3 * inset - 0.4) + 0.2 * field
    return torch.minimum(ragged * radius, inset - 1 / min(size)).mul(min(size) / 2).clamp(0, 1)


def move_layer(
    scene: Tensor, layer: Tensor, mask: Tensor, positions: Tensor, streak: Tensor
) -> Tensor:
    """Lay a moving thing over a still scene, with the streak it draws during the exposure.

    Args:
        scene: what stands still, linear light; (n, 3, h, w).
        layer: picture that the thing is cut from; (n, 3, h, w).
        mask: where the thing is; (n, 1, h, w).
        positions: of the thing in each frame, (x, y) from where the mask lies [px]; (n, F, 2).
        streak: way during one exposure (x, y) [px]; (n, 2).

    Returns:
        The scene as each frame meets it; (n, F, 3, h, w).
    """
    count, frames, _ = positions.shape
    cut_out = torch.cat([layer * mask, mask], dim=1).repeat_interleave(frames, dim=0)
    grid = pixel_grid(scene.shape[-2:], device=scene.device, dtype=scene.dtype)
    moved = torch.zeros_like(cut_out)
    moments = (-0.5, -0.25, 0.0, 0.25, 0.5)
    for moment in moments:
        offset = positions + moment * streak.unsqueeze(1)
        moved += sample(cut_out, grid - offset.view(-1, 1, 1, 2), "bilinear") / len(moments)
    still = scene.repeat_interleave(frames, dim=0) * (1 - moved[:, 3:])
    return (still + moved[:, :3]).view(count, frames, *scene.shape[1:])
