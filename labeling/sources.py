"""Where labels come from: the settings of each kind of source, and one function that reads any file of them.

Labels of a live server are read from the mirror of its project: ``labeling.studio.answers.read_store``.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from labeling.annotations import Annotations
from labeling.csv_labels import read_label_csv
from labeling.export import read_label_studio_export
from labeling.references import ImageIndex
from labeling.studio.settings import LabelStudioServer
from labeling.taxonomy import Taxonomy


class LabelStudioExport(BaseModel):
    """A file exported from Label Studio in its full JSON format."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["label_studio_export"] = "label_studio_export"
    path: Path = Field(description="The exported file (format JSON, not JSON-MIN).")


class LabelCsv(BaseModel):
    """A CSV file with the columns image, main, subs; the subs separated by '|'."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["csv"] = "csv"
    path: Path = Field(description="The CSV file: UTF-8, with a header.")


FileSource = LabelStudioExport | LabelCsv
LabelSource = Annotated[FileSource | LabelStudioServer, Field(discriminator="kind")]


def read_annotations(source: FileSource, index: ImageIndex, taxonomy: Taxonomy) -> Annotations:
    """Read all annotations of a file, those that count and those that were refused.

    Raises:
        LabelingError: if the file as a whole cannot be used.
    """
    match source:
        case LabelStudioExport():
            return read_label_studio_export(source.path, index, taxonomy)
        case LabelCsv():
            return read_label_csv(source.path, index, taxonomy)
