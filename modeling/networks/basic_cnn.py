"""A basic convolutional network, the baseline that is trained from scratch."""

import torch
from torch import nn

WIDTHS = (16, 32, 64, 128)
HIDDEN = 256


def build(image_size: tuple[int, int]) -> nn.Sequential:
    """Four rounds of convolution and max pooling, then a fully connected layer: (N, 3, H, W) to (N, 256, 1, 1).

    The last feature map is averaged to 2 x 2, so that any ``image_size`` of at least 32 x 32 pixels fits.
    """
    rounds: list[nn.Module] = []
    channels = 3
    for width in WIDTHS:
        convolution = nn.Conv2d(channels, width, kernel_size=3, padding=1)
        rounds.append(nn.Sequential(convolution, nn.ReLU(inplace=True), nn.MaxPool2d(2)))
        channels = width
    hidden = nn.Sequential(nn.Linear(channels * 4, HIDDEN), nn.ReLU(), nn.Unflatten(1, (HIDDEN, 1, 1)))
    return nn.Sequential(*rounds, _Quarters(), hidden)


class _Quarters(nn.Module):
    """Means of the four quarters of a map: (N, D, h, w) to (N, 4 D).

    (The backward of adaptive pooling is not deterministic on a GPU.)
    """

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        half_height, half_width = maps.shape[-2] // 2, maps.shape[-1] // 2
        quarters = [
            maps[..., rows, columns].mean(dim=(-2, -1))
            for rows in (slice(None, half_height), slice(half_height, None))
            for columns in (slice(None, half_width), slice(half_width, None))
        ]
        return torch.cat(quarters, dim=1)
