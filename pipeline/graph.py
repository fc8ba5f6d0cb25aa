"""The whole graph as Dagster definitions."""

import dagster as dg

from pipeline.assets.ablation import ablation_assets
from pipeline.assets.crawl import crawl_assets
from pipeline.assets.data_sets import data_set_assets
from pipeline.assets.dedup import dedup_assets
from pipeline.assets.evaluation import evaluation_assets
from pipeline.assets.graph import graph_assets
from pipeline.assets.label_studio import label_studio_assets
from pipeline.assets.labels import label_assets
from pipeline.assets.suspicion import suspicion_assets
from pipeline.assets.training import training_assets
from pipeline.checks import checks
from pipeline.jobs import jobs
from pipeline.progress import Progress
from pipeline.resources import resources
from pipeline.sensors import sensors
from pipeline.settings import Settings


def build_definitions(settings: Settings, progress: Progress | None = None) -> dg.Definitions:
    """Return assets, checks, jobs and resources for ``settings``; nothing is read from the data location."""
    return dg.Definitions(
        assets=[
            *crawl_assets(settings),
            *dedup_assets(settings),
            *label_assets(settings),
            *label_studio_assets(settings),
            *data_set_assets(settings),
            *graph_assets(settings),
            *training_assets(settings),
            *suspicion_assets(settings),
            *evaluation_assets(settings),
            *ablation_assets(settings),
        ],
        asset_checks=checks(settings),
        jobs=jobs(settings),
        sensors=sensors(settings),
        resources=resources(settings, progress),
        executor=dg.in_process_executor,
    )
