"""A basic convolutional network, the baseline that is trained from scratch."""

import torch
from torch import nn

WIDTHS = (16, 32, 64, 128)
HIDDEN = 256


class BasicCnn(nn.Module):
    """Four rounds of convolution and max pooling, then a fully connected layer: (N, 3, H, W) to (N, 256, 1, 1).

    The last feature map is averaged to 2 x 2, so that any image size of at least 32 x 32 pixels fits.
    """

    num_features = HIDDEN

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width in WIDTHS:
            layers += [nn.Conv2d(channels, width, kernel_size=3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2)]
            channels = width
        self.convolutions = nn.Sequential(*layers)
        self.hidden = nn.Linear(channels * 4, HIDDEN)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return features (N, 256, 1, 1) of normalised images (N, 3, H, W)."""
        maps = self.convolutions(images)
        half_height, half_width = maps.shape[-2] // 2, maps.shape[-1] // 2
        corners = [
            maps[..., rows, columns].mean(dim=(-2, -1))
            for rows in (slice(None, half_height), slice(half_height, None))
            for columns in (slice(None, half_width), slice(half_width, None))
        ]
        return torch.relu(self.hidden(torch.cat(corners, dim=1)))[:, :, None, None]
