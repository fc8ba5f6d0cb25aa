"""What a live Label Studio server is used for, and how."""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class LabelStudioServer(BaseModel):
    """A project on a Label Studio server; its address and token come from the environment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["label_studio"] = "label_studio"
    project: str = Field(default="Fashion styles", min_length=3, max_length=50, description="title of the project")
    language: Literal["en", "ko"] = Field(default="en", description="of the labeling screen and the style guide")
    answers_per_image: int = Field(default=2, ge=1, le=10, description="experts who label each image")
    open_tasks: int | None = Field(
        default=None, ge=1, description="tasks that may wait for answers at a time; without it, all"
    )
    next_images: Literal["newest", "rare", "uncertain"] = Field(
        default="newest",
        description="which images are queued first: newest window, or by predictions, with open_tasks: rare labels, "
        "most uncertain",
    )
    random_share: float = Field(default=0.1, ge=0, le=1, description="share of the queue that is chosen at random")
    pre_annotations: bool = Field(default=True, description="show experts what the model would answer")
    predict_with: str | None = Field(
        default=None, description="label set whose champion predicts; without it, the first"
    )
    least_score: float = Field(
        default=0.5, ge=0, le=1, description="probability from which a prediction is shown to experts"
    )
    blind_share: float = Field(
        default=0.2, ge=0, le=1, description="share of images, by hash, that never show a prediction"
    )
    review_suspicious: int = Field(
        default=0, ge=0, description="how many of the most suspicious labels go back to reviewers after a training"
    )
    reconcile_hours: float = Field(
        default=24.0, ge=0, description="hours after which the export looks for deleted tasks and drafts; 0: each time"
    )
    withdrawn: Path | None = Field(
        default=None, description="file with the ids of images whose tasks must leave with their answers, one a line"
    )
    document_root: Path | None = Field(
        default=None, description="folder that the server serves files from; without it, the data location"
    )
    server_root: str | None = Field(
        default=None, description="document_root as the server sees it, where that differs (in a container)"
    )
    poll_seconds: int = Field(default=60, ge=10, description="seconds between two looks of the sensor for new work")
    page_size: int = Field(default=1000, ge=10, le=10_000, description="tasks asked for at a time")
    timeout: float = Field(default=60.0, gt=0, description="seconds that the server may take to answer")

    @model_validator(mode="after")
    def _open_tasks_leave_a_choice(self) -> Self:
        if self.next_images != "newest" and self.open_tasks is None:
            raise ValueError(
                f"next_images = {self.next_images!r} needs open_tasks: without it all images are queued "
                "at once, before there is any prediction to choose by"
            )
        return self
