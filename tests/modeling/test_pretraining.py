from modeling.pretraining import pretrain_resnet18

# isort: split
import numpy as np
import torch
from safetensors.torch import load_file
from torchvision import models

from modeling.networks.style_network import MEAN, STD


def striped(count=64, side=32):
    """Pictures with upright or lying stripes, and which of the two each has."""
    rng = np.random.default_rng(0)
    classes = np.arange(count) % 2
    stripes = np.tile(np.arange(side) // 4 % 2 * 200, (side, 1))
    pictures = np.stack([stripes if one else stripes.T for one in classes])[..., None].repeat(3, axis=-1)
    return (pictures + rng.integers(0, 50, pictures.shape)).astype(np.uint8), classes


def test_pretrained_weights_tell_the_classes_apart_and_come_out_the_same(tmp_path):
    pictures, classes = striped()
    steps = []
    paths = [tmp_path / name for name in ("one", "two")]
    for path in paths:
        pretrain_resnet18(pictures, classes, path, epochs=6, progress=lambda *done: steps.append(done))
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert steps[:12] == [(step, 12) for step in range(1, 13)]
    model = models.resnet18(num_classes=2)
    model.load_state_dict(load_file(paths[0]))
    scaled = (pictures / 255 - MEAN) / STD
    with torch.no_grad():
        found = model.eval()(torch.from_numpy(scaled.astype(np.float32)).permute(0, 3, 1, 2)).argmax(1).numpy()
    assert (found == classes).mean() > 0.9
