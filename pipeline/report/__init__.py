"""The report of a run: one self-contained HTML file, readable by a manager and checkable by an engineer."""

from pipeline.report.build import build_report
from pipeline.report.data import LabelSetResult, ModelResult, ReportData

__all__ = ["LabelSetResult", "ModelResult", "ReportData", "build_report"]
