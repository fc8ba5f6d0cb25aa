"""A plain, careful PyTorch loop: pictures decoded and resized once into memory, everything in batches."""

import math
import time

from modeling import torchvision_guard  # noqa: F401  (before torchvision)

# isort: split
import numpy as np
import torch
from torch import nn
from torchvision import models

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1) * 255
STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1) * 255


class PlainGcn(nn.Module):
    """ML-GCN over a ResNet, as one would write it from the paper."""

    def __init__(self, backbone: str, word_vectors: np.ndarray, adjacency: np.ndarray) -> None:
        super().__init__()
        resnet = models.get_model(backbone, weights=None)
        self.trunk = nn.Sequential(*list(resnet.children())[:-2])
        self.first = nn.Linear(word_vectors.shape[1], 1024, bias=False)
        self.second = nn.Linear(1024, resnet.fc.in_features, bias=False)
        self.register_buffer("word_vectors", torch.tensor(word_vectors, dtype=torch.float32))
        self.register_buffer("adjacency", torch.tensor(adjacency, dtype=torch.float32))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (N, C) of normalised images (N, 3, H, W)."""
        features = self.trunk(images).amax(dim=(-2, -1))
        nodes = nn.functional.leaky_relu(self.adjacency @ self.first(self.word_vectors), 0.2)
        return features @ (self.adjacency @ self.second(nodes)).T


def train_plainly(
    pictures: np.ndarray,
    targets: np.ndarray,
    word_vectors: np.ndarray,
    adjacency: np.ndarray,
    backbone: str,
    batch_size: int,
    epochs: int,
    device: torch.device,
    *,
    on_device: bool = False,
) -> list[float]:
    """Train on pictures (N, H, W, 3) uint8 with targets (N, C); return the seconds of each epoch.

    ``on_device`` keeps the pictures on the device, so that nothing but the network costs time: the most that any loop
    can reach there.
    """
    torch.manual_seed(0)
    network = PlainGcn(backbone, word_vectors, adjacency).to(device).train()
    branches = [network.trunk.parameters(), [network.first.weight, network.second.weight]]
    groups = [{"params": list(part), "lr": rate} for part, rate in zip(branches, (1e-4, 1e-3), strict=True)]
    adam = torch.optim.Adam(groups, fused=True)
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous()
    truth = torch.from_numpy(targets)
    if on_device:
        images, truth = images.to(device), truth.to(device)
    mean, std = MEAN.to(device), STD.to(device)
    steps = len(images) // batch_size
    schedule = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: 0.5 + 0.5 * math.cos(step / (epochs * steps)))
    mixed = device.type == "cuda" and torch.cuda.is_bf16_supported()
    seconds = []
    for _ in range(epochs):
        begin = time.perf_counter()
        order = torch.randperm(len(images)).to(images.device)
        for start in range(0, steps * batch_size, batch_size):
            rows = order[start : start + batch_size]
            batch = images[rows].to(device, non_blocking=True).float()
            flipped = (torch.rand(len(batch)) < 0.5).to(device)
            batch = torch.where(flipped[:, None, None, None], batch.flip(-1), batch)
            with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
                logits = network((batch - mean) / std)
            loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), truth[rows].to(device))
            adam.zero_grad()
            loss.backward()
            adam.step()
            schedule.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begin)
    return seconds
