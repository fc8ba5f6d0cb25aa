"""What has to be set before torch and torchvision are loaded; import this module before either of them.

Threads of OpenMP that wait for work sleep instead of spinning. On a machine whose cores are busy with something else,
spinning makes training several times slower. A value that the
environment already has stays.

torchvision's published wheel is built against CUDA. Beside a CPU-only torch its native operators do not load, and its
import stops because two operator schemas are unknown. This module registers those two schemas; nothing here implements
the operators, and nothing in this package calls them.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch

_SCHEMAS = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


def register_missing_operators() -> list[str]:
    """Register the operator schemas that torchvision needs at import and this torch lacks; return their names."""
    if torch.version.cuda is not None:
        return []
    missing = [name for name in _SCHEMAS if not _is_registered(name)]
    for name in missing:
        torch.library.define(f"torchvision::{name}", _SCHEMAS[name])
    return missing


def _is_registered(name: str) -> bool:
    # The published name of this query is private; asking for the operator itself answers the same.
    return hasattr(torch.ops.torchvision, name)


register_missing_operators()
