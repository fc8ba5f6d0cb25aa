"""Random changes of train images, made for a whole batch on the device.

torchvision's random transforms draw once for a whole batch; here every image has its own random numbers.
"""

import functools

import torch

from modeling.networks.style_network import MEAN
from modeling.training_settings import TrainingSettings

VERSION = "1"  # changes when the same random numbers would give other pixels
GRAY = (0.299, 0.587, 0.114)  # what red, green and blue count (ITU-R BT.601)
ERASED_AREA = (0.02, 0.2)  # least and most of an image, as shares
ERASED_ASPECT = 0.3  # least height by width of the rectangle, as shares of the image's; the most is its inverse
(MIRRORED, ZOOM, MOVE_X, MOVE_Y, BRIGHTNESS, CONTRAST, SATURATION, ERASED, AREA, ASPECT, LEFT, TOP) = range(12)
DRAWS = 12  # random numbers an image


def augment(images: torch.Tensor, training: TrainingSettings, generator: torch.Generator) -> torch.Tensor:
    """Mirror, scale, move, recolour and partly erase images (N, 3, H, W) at random: uint8 in, float32 in 0..255 out.

    ``training`` says which of these and how much. The random numbers come from ``generator``, which lives on the CPU,
    so a seed means the same on every device; each image uses up twelve, so that switching one change on or off leaves
    the others as they are.
    """
    return change(images, torch.rand(len(images), DRAWS, generator=generator), training)


def changes_more_than_sides(training: TrainingSettings) -> bool:
    """Is there any change besides the mirror image?"""
    return any((training.zoom, training.shift, training.color, training.erase))


def change(images: torch.Tensor, draws: torch.Tensor, training: TrainingSettings) -> torch.Tensor:
    """Change images (N, 3, H, W) uint8 by random numbers ``draws`` (N, 12) in 0..1 as ``augment`` does.

    The result lies in memory as pictures come, channels last.
    """
    draws = _sent(draws, images.device)
    # Half precision is for the network; pixels would be rounded by it.
    with torch.autocast(images.device.type, enabled=False):
        if training.zoom or training.shift:
            pixels = _pixels(_moved(images.float(), draws, training))
        elif training.flip:
            pixels = _chosen(draws[:, MIRRORED] < 0.5, _pixels(images.flip(-1)), _pixels(images)).float()
        else:
            pixels = _pixels(images).float()
        if training.color:
            pixels = _recolored(pixels, 1 + _both_ways(draws[:, BRIGHTNESS : SATURATION + 1]) * training.color)
        if training.erase:
            pixels = _erased(pixels, draws, training.erase)
        return pixels.permute(0, 3, 1, 2)


def _sent(draws: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Random numbers on the device, sent without waiting for it."""
    return draws.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else draws


@functools.cache
def _constant(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """Numbers on the device: sent there once, since sending waits for it."""
    return torch.tensor(values, device=device)


def _pixels(images: torch.Tensor) -> torch.Tensor:
    """Images (N, 3, H, W) as (N, H, W, 3): a view where they lie in memory so."""
    return images.permute(0, 2, 3, 1).contiguous()


def _chosen(chosen: torch.Tensor, ones: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Take for each image of a batch one of two; as long rows, which is much faster than over four dimensions."""
    return torch.where(chosen[:, None], ones.flatten(1), others.flatten(1)).view(ones.shape)


def _both_ways(draws: torch.Tensor) -> torch.Tensor:
    """Random numbers of 0..1 as such of -1..1."""
    return 2 * draws - 1


def _moved(images: torch.Tensor, draws: torch.Tensor, training: TrainingSettings) -> torch.Tensor:
    """Mirror, scale and move; what a picture loses at one side is filled with its own edge."""
    scale = 1 / (1 + _both_ways(draws[:, ZOOM]) * training.zoom)
    move = _both_ways(draws[:, [MOVE_X, MOVE_Y]]) * training.shift * 2  # the grid's unit is half an image
    side = torch.where(draws[:, MIRRORED] < 0.5, -scale, scale) if training.flip else scale
    zero = torch.zeros_like(scale)
    theta = torch.stack([side, zero, move[:, 0], zero, scale, move[:, 1]], dim=1).view(-1, 2, 3)
    grid = torch.nn.functional.affine_grid(theta, list(images.shape), align_corners=False)
    return torch.nn.functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _recolored(pixels: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Multiply brightness, then contrast, then saturation of (N, H, W, 3) float32 by ``factors`` (N, 3).

    Contrast is the distance to the image's mean grey, saturation the distance to each pixel's grey. All three are
    linear, so they are one matrix and one number an image, and values outside 0..255 are cut off once, at the end.
    """
    brightness, contrast, saturation = factors.T[:, :, None, None]
    gray = _constant(GRAY, pixels.device)[:, None]
    flat = pixels.flatten(1, 2)
    own = brightness * contrast * saturation * torch.eye(3, device=pixels.device)
    mixed = torch.bmm(flat, own + brightness * contrast * (1 - saturation) * gray.expand(3, 3))
    mean = flat.mean(dim=1)[:, None] @ gray
    return mixed.add_((1 - contrast) * brightness * mean).clamp_(0, 255).view(pixels.shape)


def _erased(pixels: torch.Tensor, draws: torch.Tensor, share: float) -> torch.Tensor:
    """Fill a rectangle of some images (N, H, W, 3) with ImageNet's mean colour (Zhong et al., AAAI 2020).

    The area is drawn evenly, the aspect evenly on a logarithmic scale, the place evenly among those inside.
    """
    _, height, width, _ = pixels.shape
    least, most = ERASED_AREA
    root_of_area = (least + (most - least) * draws[:, AREA]).sqrt()
    root_of_aspect = ERASED_ASPECT ** (_both_ways(draws[:, ASPECT]) / 2)
    rows = _stretch(height, root_of_area * root_of_aspect, draws[:, TOP]) & (draws[:, ERASED] < share)[:, None]
    columns = _stretch(width, root_of_area / root_of_aspect, draws[:, LEFT])
    # Each line of pixels as one long row, for speed.
    mask = rows[:, :, None] & columns.repeat_interleave(3, dim=1)[:, None]
    mean = _constant(MEAN, pixels.device).repeat(width) * 255
    return torch.where(mask, mean, pixels.flatten(2)).view(pixels.shape)


def _stretch(size: int, length: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    """Which of ``size`` pixels lie in a stretch of ``length`` (N,) as a share, at ``place`` (N,) 0..1: (N, size)."""
    start = (place * (1 - length))[:, None]
    pixel = (torch.arange(size, device=place.device) + 0.5) / size
    return (pixel >= start) & (pixel < start + length[:, None])
