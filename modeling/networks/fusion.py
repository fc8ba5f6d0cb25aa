"""What makes a network that only predicts faster: fused batch normalisation, and weights that lie channels last."""

import itertools

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from modeling import torchvision_guard  # noqa: F401  (before torchvision)

# isort: split
from torchvision.models import densenet, inception, resnet
from torchvision.models.googlenet import BasicConv2d as GoogLeNetConvolution

# Blocks that call a convolution and then its normalisation by name; everything else does so in an nn.Sequential.
_NAMED_PAIRS: dict[type[nn.Module], tuple[tuple[str, str], ...]] = {
    resnet.BasicBlock: (("conv1", "bn1"), ("conv2", "bn2")),
    resnet.Bottleneck: (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3")),
    densenet._DenseLayer: (("conv1", "norm2"),),
    GoogLeNetConvolution: (("conv", "bn"),),
    inception.BasicConv2d: (("conv", "bn"),),
}


def fuse_batch_norms(network: nn.Module) -> int:
    """Fuse every batch normalisation that surely follows a convolution, in place; return how many were fused.

    A pair counts where the two are neighbours in an nn.Sequential, or a torchvision block is known to call one after
    the other; all others stay as they are. ``network`` must be in eval mode: statistics are taken as they stand.
    """
    return sum(_fuse(module, first, second) for module in network.modules() for first, second in _pairs(module))


def _pairs(module: nn.Module) -> list[tuple[str, str]]:
    # A subclass may have a forward of its own, which need not call its children in their order.
    if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
        names = [name for name, _ in module.named_children()]
        return list(itertools.pairwise(names))
    return list(_NAMED_PAIRS.get(type(module), ()))


def _fuse(module: nn.Module, first: str, second: str) -> bool:
    convolution, norm = getattr(module, first), getattr(module, second)
    if type(convolution) is not nn.Conv2d or type(norm) is not nn.BatchNorm2d or norm.running_mean is None:
        return False
    setattr(module, first, fuse_conv_bn_eval(convolution, norm))
    setattr(module, second, nn.Identity())
    return True


def put_channels_last(network: nn.Module) -> None:
    """Lay the weights of all convolutions channels last, in place; feature maps follow them."""
    for weight in network.parameters():
        if weight.ndim == 4:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)
