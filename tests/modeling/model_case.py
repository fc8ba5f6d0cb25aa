"""Saved models with random weights: all the files of a trained one, without the training."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from modeling.model_files import FORMAT, package_versions, save_model
from modeling.networks.style_network import MEAN, STD, build_network
from modeling.training_settings import BackboneSettings, TrainingSettings
from tests.modeling.training_case import ADJACENCY, LABELS, WORD_VECTORS

SIZE = (48, 32)
THRESHOLDS = {"red": 0.5, "green": 0.25, "blue": 0.75}


def write_model(folder: Path, architecture: str = "ml_gcn", seed: int = 0, **card: Any) -> Path:
    """Write a model over ResNet-18 with logits a few units wide; return its folder. ``card`` goes over its card."""
    training = TrainingSettings(image_size=SIZE, threads=1, seed=seed, **card.pop("training", {}))
    backbone = BackboneSettings(name="resnet18")
    torch.manual_seed(seed)
    built = build_network(architecture, backbone, training, LABELS, WORD_VECTORS, ADJACENCY)
    network = built.network.eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):  # so that fusing it has something to get wrong
                module.running_mean.uniform_(-0.1, 0.1)
                module.weight.uniform_(0.8, 1.2)
        values = network(torch.from_numpy(np.random.default_rng(0).integers(0, 256, (4, 3, *SIZE), dtype=np.uint8)))
        last = [value for name, value in network.head.named_parameters() if value.ndim > 1][-1]
        last *= 2 / values.std()
    graph = architecture == "ml_gcn"
    whole = {
        "format": FORMAT,
        "architecture": architecture,
        "backbone": backbone.model_dump(mode="json"),
        "backbone_weights": built.weights,
        "pooling": built.pooling,
        "labels": LABELS,
        "label_images": {"red": 1200, "green": 20, "blue": 9},
        "graph_hash": "abc" if graph else None,
        "graph_form": "equation" if graph else None,
        "data_set_version": "0" * 64,
        "images": {"train": 1229, "validation": 8, "test": 16},
        "seed": seed,
        "training": training.model_dump(mode="json"),
        "threads": 1,
        "normalization": {"mean": list(MEAN), "std": list(STD)},
        "best_epoch": 3,
        "validation": {"mean_of_five": 0.75, "loss": 0.5},
        "calibration": {"temperature": 1.6, "thresholds": THRESHOLDS},
        "parameters": sum(value.numel() for value in network.parameters()),
        "packages": package_versions(),
    }
    save_model(folder, network.state_dict(), whole | card)
    return folder
