"""``stylegraph export``: the champion, or the best model of the last run, as an ONNX file."""

from pathlib import Path

from rich.console import Console

from pipeline.commands.predict import chosen_model
from pipeline.settings import Settings
from pipeline.storage import Storage

CHECKED_IMAGES = 32  # of the validation split


def export_model(
    settings: Settings, target: Path, label_set: str | None, architecture: str | None, console: Console
) -> int:
    """Write the model to ``target``, checked on images of the validation split, and say what was written.

    Raises ModelingError when it can't be exported, or answers differently from torch; then nothing is written.
    """
    model = chosen_model(settings, label_set, architecture)
    storage = Storage(settings.data.location)
    data_set = storage.read_table("data_set", (model.label_set,)).to_pandas()
    rows = data_set[data_set["split"] == "validation"].sort_values("image_id")
    from modeling.onnx_export import export_onnx  # brings torch

    with console.status(f"exporting {model.title}"):
        report = export_onnx(
            model.folder, target, [storage.image_path(file_id) for file_id in rows["file_id"][:CHECKED_IMAGES]]
        )
    console.print(
        f"{report.path}  ({model.title}): {report.size / 1e6:.1f} MB, opset {report.opset}, sha256 {report.sha256}\n"
        f"checked on {report.images} images: probabilities are within {report.largest_difference:.0e} of torch's",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    return 0
