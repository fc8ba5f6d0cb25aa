"""Random changes of train images, made for a whole batch on the device."""

import torch

from modeling.training_settings import TrainingSettings


def augment(images: torch.Tensor, training: TrainingSettings, generator: torch.Generator) -> torch.Tensor:
    """Mirror, scale and move images (N, 3, H, W) at random; uint8 in, float32 of the same range out.

    What a picture loses at one side is filled with its own edge. The random numbers come from ``generator``, which
    lives on the CPU, so a seed means the same on every device.
    """
    count = len(images)
    mirrored = torch.rand(count, generator=generator) < 0.5
    zoom = 1 + (2 * torch.rand(count, generator=generator) - 1) * training.zoom
    move = (2 * torch.rand(count, 2, generator=generator) - 1) * training.shift * 2
    changed = images.float()
    if training.zoom == 0 and training.shift == 0:
        if training.flip:
            mirror = mirrored.to(images.device)[:, None, None, None]
            changed = torch.where(mirror, changed.flip(-1), changed)
        return changed
    side = torch.where(mirrored, -1.0, 1.0) if training.flip else torch.ones(count)
    zero = torch.zeros(count)
    rows = [torch.stack([side / zoom, zero, move[:, 0]], dim=1), torch.stack([zero, 1 / zoom, move[:, 1]], dim=1)]
    theta = torch.stack(rows, dim=1).to(images.device)
    grid = torch.nn.functional.affine_grid(theta, list(images.shape), align_corners=False)
    return torch.nn.functional.grid_sample(changed, grid, padding_mode="border", align_corners=False)
