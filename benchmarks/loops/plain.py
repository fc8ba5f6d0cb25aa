"""A plain, careful PyTorch loop: pictures decoded and resized once into memory, everything in batches.

Pictures and network lie channels last, as the kernels of CPUs and GPUs like them.
"""

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


State = dict[str, torch.Tensor]


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
    network = PlainGcn(backbone, word_vectors, adjacency).to(device, memory_format=torch.channels_last).train()
    images, truth = torch.from_numpy(pictures), torch.from_numpy(targets)
    if on_device:
        images, truth = images.to(device), truth.to(device)
    steps = len(images) // batch_size
    adam, schedule = optimizer(network, epochs * steps)
    best: tuple[float, State] = (math.inf, {})
    seconds = []
    for _ in range(epochs):
        begin = time.perf_counter()
        order = torch.randperm(len(images)).to(images.device)
        for start in range(0, steps * batch_size, batch_size):
            rows = order[start : start + batch_size]
            step(network, adam, augmented(images[rows], device), truth[rows].to(device))
            schedule.step()
        if not on_device:
            best = kept(network, images[:1].to(device), truth[:1].to(device), best)
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begin)
    return seconds


@torch.no_grad()
def kept(
    network: PlainGcn, pictures: torch.Tensor, truth: torch.Tensor, best: tuple[float, State]
) -> tuple[float, State]:
    """Score a validation picture (1, H, W, 3), as ours does after each epoch, and keep the weights of the best one."""
    network.eval()
    batch = pictures.permute(0, 3, 1, 2).float()
    device = pictures.device
    logits = network((batch - MEAN.to(device)) / STD.to(device))
    network.train()
    loss = float(nn.functional.binary_cross_entropy_with_logits(logits, truth))
    if loss >= best[0]:
        return best
    return loss, {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}


def optimizer(network: PlainGcn, steps: int) -> tuple[torch.optim.Adam, torch.optim.lr_scheduler.LambdaLR]:
    """Adam with a rate for each branch, both falling to zero by half a cosine over all steps."""
    branches = [network.trunk.parameters(), [network.first.weight, network.second.weight]]
    groups = [{"params": list(part), "lr": rate} for part, rate in zip(branches, (1e-4, 1e-3), strict=True)]
    adam = torch.optim.Adam(groups, fused=True)
    return adam, torch.optim.lr_scheduler.LambdaLR(adam, lambda step: 0.5 + 0.5 * math.cos(math.pi * step / steps))


def augmented(pictures: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Move pictures (B, H, W, 3) uint8 to the device, mirror half of them and normalise them: (B, 3, H, W) float32."""
    batch = pictures.to(device, non_blocking=True).permute(0, 3, 1, 2).float()  # a view: channels stay last in memory
    flipped = (torch.rand(len(batch)) < 0.5).to(device)
    batch = torch.where(flipped[:, None, None, None], batch.flip(-1), batch)
    return (batch - MEAN.to(device)) / STD.to(device)


def step(network: PlainGcn, adam: torch.optim.Adam, batch: torch.Tensor, truth: torch.Tensor) -> None:
    """Train on one batch, the network in bfloat16 where the GPU has it."""
    mixed = batch.device.type == "cuda" and torch.cuda.is_bf16_supported()
    with torch.autocast(batch.device.type, torch.bfloat16, enabled=mixed):
        logits = network(batch)
    loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), truth)
    adam.zero_grad()
    loss.backward()
    adam.step()
