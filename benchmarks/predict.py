"""How long one picture takes with ``stylegraph predict``, as a whole process, beside the least that PyTorch needs.

The peer is a script that imports torch and torchvision, builds the same network, loads its weights and runs it once.
Needs a finished run: ``make demo`` first. Prints medians over ``RUNS`` runs in turn, after a first one each.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from pipeline.best_model import best_architecture
from pipeline.last_run import choose_config
from pipeline.settings import load_settings
from pipeline.storage import Storage

RUNS = 5
TARGET = 10.0  # seconds, warm
PEER = """
import json, sys
import modeling.torchvision_guard
import torch, torchvision
from PIL import Image
from safetensors.torch import load_file
folder, image = sys.argv[1:]
card = json.load(open(folder + "/card.json"))
state = load_file(folder + "/model.safetensors")
network = torchvision.models.get_model(card["backbone"]["name"], weights=None).eval()
height, width = card["training"]["image_size"]
pixels = torchvision.transforms.functional.pil_to_tensor(Image.open(image).convert("RGB").resize((width, height)))
with torch.inference_mode():
    network(pixels[None] / 255)
"""


def seconds(command: list[str], environment: dict[str, str]) -> float:
    """Return the wall time of a command that must end well."""
    begin = time.perf_counter()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def main() -> None:
    """Time both in turn and print the result."""
    config = choose_config(None, recall=True)
    settings = load_settings(config)
    storage = Storage(settings.data.location)
    label_set = next(iter(settings.label_sets))
    folder = storage.model_path(label_set, best_architecture(settings, storage, label_set))
    image = next(path for path in sorted(Path(storage.path("images")).glob("??/*")) if len(path.name) == 64)
    environment = {**os.environ, "STYLEGRAPH_CONFIG": str(config)}
    ours = [sys.executable, "-m", "pipeline", "predict", str(image)]
    peer = [sys.executable, "-c", PEER, str(folder), str(image)]
    times = [(seconds(ours, environment), seconds(peer, environment)) for _ in range(RUNS + 1)][1:]
    ours_median, peer_median = (statistics.median(column) for column in zip(*times, strict=True))
    print(f"stylegraph predict {ours_median:.2f} s, the least that PyTorch needs {peer_median:.2f} s")
    result = {
        "name": "predict one image, whole process, seconds",
        "ours": round(ours_median, 2),
        "peer": round(peer_median, 2),
        "ratio": round(ours_median / peer_median, 2),
        "target": f"ours below {TARGET:.0f} s",
        "met": ours_median < TARGET,
    }
    print("RESULT", json.dumps(result))


if __name__ == "__main__":
    main()
