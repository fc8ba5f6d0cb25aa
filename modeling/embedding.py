"""Short descriptions of pictures as a network sees them: random projections of its pooled features.

A random projection keeps distances between pictures up to a few per cent of them (Johnson and Lindenstrauss, 1984; with
normal entries: Dasgupta and Gupta, Random Structures & Algorithms 22, 2003), which is what tests for drift need. The
matrix is the same for every network of one width; distances between embeddings of two models mean nothing all the same.
"""

from modeling import torchvision_guard  # noqa: F401  (before torch)

# isort: split
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from modeling.networks.backbones import POOLINGS
from modeling.networks.style_network import StyleNetwork

DIMENSIONS = 32
SEED = 20190701  # of the matrix; another one makes old and new embeddings incomparable


def projection(features: int) -> npt.NDArray[np.float32]:
    """Return the matrix (features, 32) of normal numbers with variance 1/32, always the same."""
    values = np.random.default_rng(SEED).standard_normal((features, DIMENSIONS))
    matrix: npt.NDArray[np.float32] = (values / np.sqrt(DIMENSIONS)).astype(np.float32)
    return matrix


class EmbeddingNetwork(nn.Module):
    """From the pixels of pictures (N, H, W, 3) uint8 to logits and embeddings side by side, (N, C + 32) float32.

    Features are pooled as the network pools them for its head; where the head reads the whole map, they are its mean.
    With ``flip_average`` all are the mean of those of the picture and of its mirror image.
    """

    matrix: torch.Tensor
    dimensions = DIMENSIONS

    def __init__(self, network: StyleNetwork, flip_average: bool) -> None:
        super().__init__()
        self.network = network
        self.flip_average = flip_average
        self.register_buffer("matrix", torch.from_numpy(projection(network.image_branch.num_features)))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return logits and embeddings."""
        images = pixels.permute(0, 3, 1, 2)
        outputs = self._outputs(images)
        if self.flip_average:
            outputs = (outputs + self._outputs(images.flip(-1))) / 2
        return outputs

    def _outputs(self, images: torch.Tensor) -> torch.Tensor:
        network = self.network
        features = POOLINGS[network.pooling](network.image_branch.trained(network.frozen(images)))
        logits: torch.Tensor = network.head(network.dropout(features))
        pooled = features.mean(dim=(2, 3)) if network.pooling == "none" else features
        return torch.cat([logits.float(), pooled.float() @ self.matrix], dim=1)
