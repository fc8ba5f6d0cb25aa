"""A trained model that answers for pictures: labels with calibrated probabilities."""

from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modeling import torchvision_guard  # noqa: F401  (before torch)

# isort: split
import numpy as np
import numpy.typing as npt
from PIL import Image

from modeling.calibration import calibrated
from modeling.devices import choose_device
from modeling.embedding import EmbeddingNetwork
from modeling.errors import ModelingError
from modeling.inference import Inference, PixelNetwork, Source
from modeling.networks.style_network import StyleNetwork
from modeling.picture_files import picture_files

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Prediction:
    """What a model says about one picture."""

    path: Path | None  # None for a picture that was given as an image
    probabilities: dict[str, float] = field(default_factory=dict)  # of every label, the most probable first
    labels: tuple[str, ...] = ()  # those at or above their thresholds, the most probable first; may be none
    error: str | None = None  # why the picture could not be read; then there are no probabilities


@dataclass(frozen=True)
class Described:
    """What a model makes of a batch of pictures; rows are the pictures that could be read, in their order."""

    errors: list[str | None]  # for each picture, why it could not be read
    probabilities: Floats  # (n, C), calibrated
    embeddings: Floats  # (n, 32): random projections of the pooled features, see ``modeling.embedding``


class Predictor:
    """A trained network with its labels: pictures in, calibrated probabilities out.

    Pictures are paths or PIL images. Each may be of any size; JPEG is decoded at the smallest scale that will do. The
    answer for a picture may differ in its last digits with the pictures that stand in the same batch.
    """

    def __init__(self, network: StyleNetwork, card: dict[str, Any], device: str = "auto") -> None:
        """Take a network with the weights of a model and the model's card; see ``modeling.predict.load_model``."""
        training, calibration = card["training"], card["calibration"]
        self.card = card
        self.labels: list[str] = list(card["labels"])
        self.temperature: float = calibration["temperature"]
        self.thresholds = np.array([calibration["thresholds"][label] for label in self.labels])
        self.device = choose_device(device)
        self.network = PixelNetwork(network.for_inference().to(self.device), training["flip_average"]).eval()
        self.image_size: tuple[int, int] = tuple(training["image_size"])
        self._inference = self.with_others([])

    def with_others(self, others: Iterable["Predictor"]) -> Inference:
        """Return an inference that sends each picture through this network and then those of the others.

        Raises ModelingError when one of them wants pictures of another size.
        """
        together = [self, *others]
        for key in ("image_size", "resize"):
            if len({str(other.card["training"][key]) for other in together}) > 1:
                raise ModelingError(f"these models differ in training.{key}: train all seeds again")
        training = self.card["training"]
        return Inference(
            [other.network for other in together],
            len(self.labels),
            self.image_size,
            training["resize"],
            self.device,
            training["threads"],
        )

    def predict(self, images: Iterable[Source]) -> list[dict[str, float]]:
        """Return for each picture its labels with their probabilities, the most probable first (ties by label order).

        Raises ModelingError for a picture that can't be read, and for one that is not in a list.
        """
        return [self._prediction(None, row).probabilities for row in self.probabilities(images)]

    def probabilities(self, images: Iterable[Source], progress: Callable[[int], None] | None = None) -> Floats:
        """Return probabilities (N, C) float32, labels in the order of ``labels``; ``progress`` is told the number done.

        Pictures are read as they are needed, so a generator over any number of files will do. Raises ModelingError
        for one that can't be read, and for one that is not in a list or another iterable.
        """
        if isinstance(images, str | Path | Image.Image):
            raise ModelingError("give a list of pictures, even of one; stream() takes a folder")
        return self._calibrated(all_logits(self._inference, images, progress)[0])

    def stream(
        self, images: Path | str | Iterable[Source], batch_size: int | None = None
    ) -> Generator[Prediction, None, None]:
        """Yield a prediction for each picture of a folder, or of any iterable of pictures, in order.

        A folder is searched through, folders below it too, in the order of names; it may be of any size, for only a
        few batches are in memory at a time. A picture that can't be read has a prediction with an ``error``.
        ``batch_size`` is the number of pictures that go through the network at once; without it a good one for the
        device. Closing the generator ends the work. Raises ModelingError when there is no such folder.
        """
        sources = picture_files(Path(images)) if isinstance(images, str | Path) else images
        return self._predictions(sources, batch_size)

    def describe(self, images: Iterable[Source], batch_size: int | None = None) -> Generator[Described, None, None]:
        """Yield probabilities and embeddings of any number of pictures, batch by batch, from one pass each.

        Closing the generator ends the work. A picture that can't be read has an error, and no row.
        """
        labels, training = len(self.labels), self.card["training"]
        network = EmbeddingNetwork(self.network.network, training["flip_average"]).to(self.device).eval()
        outputs = labels + network.dimensions
        inference = Inference([network], outputs, self.image_size, training["resize"], self.device, training["threads"])
        with closing(inference.run(images, batch_size)) as batches:
            for batch in batches:
                logits, embeddings = np.split(batch.logits[0], [labels], axis=1)
                yield Described(batch.errors, self._calibrated(logits), embeddings)

    def _predictions(self, sources: Iterable[Source], batch_size: int | None) -> Generator[Prediction, None, None]:
        with closing(self._inference.run(sources, batch_size)) as batches:
            for batch in batches:
                rows = iter(self._calibrated(batch.logits[0]))
                for source, error in zip(batch.sources, batch.errors, strict=True):
                    path = Path(source) if isinstance(source, str | Path) else None
                    yield Prediction(path, error=error) if error else self._prediction(path, next(rows))

    def _prediction(self, path: Path | None, row: Floats) -> Prediction:
        order = np.argsort(-row, kind="stable")
        return Prediction(
            path,
            {self.labels[index]: float(row[index]) for index in order},
            tuple(self.labels[index] for index in order if row[index] >= self.thresholds[index]),
        )

    def _calibrated(self, logits: Floats) -> Floats:
        return calibrated(logits, self.temperature).astype(np.float32)


def all_logits(inference: Inference, images: Iterable[Source], progress: Callable[[int], None] | None = None) -> Floats:
    """Return the logits (R, N, C) float32 of all pictures; raise ModelingError for one that can't be read."""
    parts: list[Floats] = [np.zeros((len(inference.networks), 0, inference.labels), dtype=np.float32)]
    done = 0
    with closing(inference.run(images)) as batches:
        for batch in batches:
            for error in filter(None, batch.errors):
                raise ModelingError(error)
            parts.append(batch.logits)
            done += len(batch.sources)
            if progress is not None:
                progress(done)
    return np.concatenate(parts, axis=1)
