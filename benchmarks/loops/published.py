"""A loop that works the way published code for ML-GCN does.

Each epoch decodes every JPEG again in the loader's processes and cuts out a crop of one of several scales
(MultiScaleCrop); every sample carries the word vectors, which are collated into the batch; the adjacency is normalised
in every step; everything is float32; loss and outputs are read back in every step for its meters.
"""

import random
import time
from collections.abc import Sequence
from pathlib import Path

from modeling import torchvision_guard  # noqa: F401  (before torchvision)

# isort: split
import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import models, transforms

SCALES = (1.0, 0.875, 0.75, 0.66, 0.5)
WORKERS = 2


class MultiScaleCrop:
    """A crop of a random scale and place, resized to the network's input."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return the crop, ``size`` by ``size`` pixels."""
        shortest = min(image.size)
        width, height = (int(shortest * random.choice(SCALES)) for _ in range(2))
        left = random.choice((0, (image.width - width) // 2, image.width - width))
        top = random.choice((0, (image.height - height) // 2, image.height - height))
        crop = image.crop((left, top, left + width, top + height))
        return crop.resize((self.size, self.size), Image.Resampling.BILINEAR)


class Samples(Dataset):
    """Files with their targets, each with all the word vectors beside it."""

    def __init__(self, files: Sequence[Path], targets: np.ndarray, word_vectors: np.ndarray, size: int) -> None:
        self.files = files
        self.targets = torch.from_numpy(targets)
        self.word_vectors = word_vectors.astype(np.float32)
        self.transform = transforms.Compose(
            [
                MultiScaleCrop(size),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
            ]
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[tuple[torch.Tensor, np.ndarray], torch.Tensor]:
        """Return picture, word vectors and targets of one sample."""
        image = Image.open(self.files[index]).convert("RGB")
        return (self.transform(image), self.word_vectors), self.targets[index]


class PublishedGcn(nn.Module):
    """ML-GCN whose word vectors come with the batch and whose adjacency is a parameter, normalised in each step."""

    def __init__(self, backbone: str, vector_size: int, adjacency: np.ndarray) -> None:
        super().__init__()
        resnet = models.get_model(backbone, weights=None)
        self.features = nn.Sequential(*list(resnet.children())[:-2])
        self.pooling = nn.AdaptiveMaxPool2d(1)
        self.gc1 = nn.Linear(vector_size, 1024, bias=False)
        self.gc2 = nn.Linear(1024, resnet.fc.in_features, bias=False)
        self.A = nn.Parameter(torch.tensor(adjacency, dtype=torch.float32))

    def forward(self, images: torch.Tensor, word_vectors: torch.Tensor) -> torch.Tensor:
        """Return logits (N, C) of images (N, 3, H, W) and word vectors (N, C, d)."""
        features = self.pooling(self.features(images)).flatten(1)
        scale = torch.diag(self.A.sum(1).pow(-0.5))
        adjacency = (scale @ self.A.T @ scale).detach()
        nodes = nn.functional.leaky_relu(adjacency @ self.gc1(word_vectors[0]), 0.2)
        return features @ (adjacency @ self.gc2(nodes)).T


def train_as_published(
    files: Sequence[Path],
    targets: np.ndarray,
    word_vectors: np.ndarray,
    adjacency: np.ndarray,
    backbone: str,
    size: int,
    batch_size: int,
    epochs: int,
    device: torch.device,
) -> list[float]:
    """Train on JPEG files with targets (N, C); return the seconds of each epoch."""
    torch.manual_seed(0)
    random.seed(0)
    network = PublishedGcn(backbone, word_vectors.shape[1], adjacency).to(device).train()
    head = [network.gc1.weight, network.gc2.weight, network.A]
    groups = [{"params": list(network.features.parameters()), "lr": 0.001}, {"params": head, "lr": 0.01}]
    optimizer = torch.optim.SGD(groups, momentum=0.9, weight_decay=1e-4)
    loss_of = nn.MultiLabelSoftMarginLoss()
    samples = Samples(files, targets, word_vectors, size)
    loader = DataLoader(samples, batch_size, shuffle=True, num_workers=WORKERS, drop_last=True)
    seconds = []
    for _ in range(epochs):
        begin = time.perf_counter()
        losses, outputs = [], []
        for (images, vectors), truth in loader:
            logits = network(images.to(device), vectors.to(device))
            loss = loss_of(logits, truth.to(device))
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 10.0)
            optimizer.step()
            losses.append(loss.item())
            outputs.append(logits.detach().cpu())
        seconds.append(time.perf_counter() - begin)
    return seconds
