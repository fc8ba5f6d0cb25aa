"""Between the image collection and the experts' labels: tasks, annotations, consensus and agreement."""

from labeling.agreement import agreement, main_confusion
from labeling.annotations import Annotations
from labeling.config import labeling_config
from labeling.consensus import consensus
from labeling.csv_labels import read_label_csv
from labeling.errors import LabelingError
from labeling.export import read_label_studio_export
from labeling.references import ImageIndex, ImageReference, UnresolvedImage
from labeling.sources import LabelCsv, LabelSource, LabelStudioExport, read_annotations
from labeling.styles import FASHION_STYLES
from labeling.tasks import label_studio_tasks, label_tasks
from labeling.taxonomy import Taxonomy

__all__ = [
    "FASHION_STYLES",
    "Annotations",
    "ImageIndex",
    "ImageReference",
    "LabelCsv",
    "LabelSource",
    "LabelStudioExport",
    "LabelingError",
    "Taxonomy",
    "UnresolvedImage",
    "agreement",
    "consensus",
    "label_studio_tasks",
    "label_tasks",
    "labeling_config",
    "main_confusion",
    "read_annotations",
    "read_label_csv",
    "read_label_studio_export",
]
