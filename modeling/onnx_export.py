"""A trained model as one ONNX file that needs neither torch nor this project, checked against torch before it is kept.

Input ``pixels``: (N, H, W, 3) uint8, RGB, any number of pictures that were brought to the model's size (metadata
``image_size`` and ``resize``; bicubic, on white where they are transparent). Output ``probabilities``: (N, C) float32,
calibrated, in the order of the metadata's ``labels``. Normalisation, and the mean with the mirror image where the model
takes it, are inside. Needs the packages of the extra ``onnx``.
"""

import hashlib
import json
import tempfile
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from modeling import torchvision_guard  # noqa: F401  (before torch)

# isort: split
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from modeling.card_files import write_whole
from modeling.errors import ModelingError
from modeling.images import load_image
from modeling.inference import CPU_BATCH, PixelNetwork
from modeling.model_files import load_network

OPSET = 18
TOLERANCE = 1e-4  # largest difference to a probability of torch
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
INPUT, OUTPUT = "pixels", "probabilities"


@dataclass(frozen=True)
class OnnxReport:
    """What was written, and how near it is to torch."""

    path: Path
    size: int  # bytes
    sha256: str
    opset: int
    labels: list[str]
    images: int  # that were checked
    largest_difference: float  # of a probability, between ONNX Runtime and torch


class _Answers(nn.Module):
    """From pixels to calibrated probabilities."""

    def __init__(self, network: PixelNetwork, temperature: float) -> None:
        super().__init__()
        self.network = network
        self.temperature = temperature

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.network(pixels) / self.temperature)


def export_onnx(folder: Path, path: Path, check_images: Iterable[Path]) -> OnnxReport:
    """Write the model in ``folder`` to ``path``, after ONNX Runtime has answered as torch does for ``check_images``.

    A crash, or a model that fails the check, leaves what was at ``path``. Raises ModelingError when the extra ``onnx``
    is not installed, when no file can be written to ``path``, when there is no picture to check with or one can't be
    read, when the network can't be exported, and when a probability differs by more than 1e-4.
    """
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise ModelingError(
            f"ONNX export needs {', '.join(missing)}: install the extra onnx: "
            "pip install -e '.[onnx]' in the checkout, or pip install 'stylegraph[onnx]'"
        )
    _check_place(path)
    network, card = load_network(folder)
    training = card["training"]
    answers = _Answers(
        PixelNetwork(network.for_inference(), training["flip_average"]), card["calibration"]["temperature"]
    ).eval()
    pixels = [load_image(image, tuple(training["image_size"]), training["resize"]) for image in check_images]
    if not pixels:
        raise ModelingError("the exported model must be checked: give at least one picture")
    model = _exported(answers, np.stack(pixels[:2]))
    import_module("onnx").helper.set_model_props(model, _metadata(card))
    content: bytes = model.SerializeToString()
    difference = _largest_difference(content, answers, np.stack(pixels))
    if not difference <= TOLERANCE:
        raise ModelingError(
            f"ONNX Runtime and torch differ by {difference:.2g} in a probability, more than {TOLERANCE:g}: "
            f"{path.name} was not written"
        )
    write_whole(path, content)
    digest = hashlib.sha256(content).hexdigest()
    return OnnxReport(path, len(content), digest, OPSET, list(card["labels"]), len(pixels), difference)


def _check_place(path: Path) -> None:
    """Raise ModelingError where no file can be written; found out before the minutes that an export may take."""
    if not path.parent.is_dir():
        raise ModelingError(f"there is no folder {path.parent} to write {path.name} into: make it first")
    if path.exists() and not path.is_file():
        raise ModelingError(f"{path} is there and is no file: give the name of a file to write")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise ModelingError(f"{path.parent} can't be written to ({error.strerror}): choose another folder") from error


def _exported(answers: _Answers, pixels: npt.NDArray[np.uint8]) -> Any:
    """Return the model as ONNX's protocol buffer, for any number of pictures."""
    example = np.resize(pixels, (2, *pixels.shape[1:]))  # of one picture alone, the exporter would take 1 for fixed
    with warnings.catch_warnings(), torch.no_grad():
        # torch.export of torch 2.13 itself
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning)
        try:
            program = torch.onnx.export(
                answers,
                (torch.from_numpy(example),),
                dynamo=True,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: torch.export.Dim("images", min=1)},),
                verbose=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            raise ModelingError(f"torch can't export this network to ONNX: {_first_line(error)}") from error
    if program is None:
        raise ModelingError("torch gave no ONNX model back: check the installed torch")
    model = program.model_proto
    if not model.graph.input[0].type.tensor_type.shape.dim[0].dim_param:
        raise ModelingError("torch exported this network for a fixed number of pictures only: choose another backbone")
    return model


def _metadata(card: dict[str, Any]) -> dict[str, str]:
    """What one must know to use the file; lists and tables as JSON."""
    training, calibration = card["training"], card["calibration"]
    return {
        "labels": json.dumps(card["labels"], ensure_ascii=False),
        "image_size": json.dumps(training["image_size"]),  # height, width
        "resize": training["resize"],
        "flip_average": json.dumps(training["flip_average"]),
        "temperature": repr(calibration["temperature"]),
        "thresholds": json.dumps(calibration["thresholds"], ensure_ascii=False),
        "architecture": card["architecture"],
        "backbone": card["backbone"]["name"],
        "data_set_version": card["data_set_version"],
        "weights_sha256": card["weights_sha256"],
    }


def _largest_difference(content: bytes, answers: _Answers, pixels: npt.NDArray[np.uint8]) -> float:
    """Largest difference of a probability, over batches of one picture and of several."""
    runtime = import_module("onnxruntime")
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    differences = []
    for start, stop in [(0, 1), *((at, at + CPU_BATCH) for at in range(0, len(pixels), CPU_BATCH))]:
        part = pixels[start:stop]
        with torch.inference_mode():
            expected = answers(torch.from_numpy(part)).numpy()
        [found] = session.run([OUTPUT], {INPUT: part})
        differences.append(np.abs(found - expected).max())
    return float(np.max(differences))


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
