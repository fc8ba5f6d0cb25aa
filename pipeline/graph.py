"""The whole graph as Dagster definitions."""

import dagster as dg

from pipeline.alert_sensors import alert_sensors
from pipeline.assets.ablation import ablation_assets
from pipeline.assets.champion import champion_assets
from pipeline.assets.crawl import crawl_assets
from pipeline.assets.data_card import data_card_assets
from pipeline.assets.data_sets import data_set_assets
from pipeline.assets.dedup import dedup_assets
from pipeline.assets.evaluation import evaluation_assets
from pipeline.assets.graph import graph_assets
from pipeline.assets.label_studio import label_studio_assets
from pipeline.assets.labels import label_assets
from pipeline.assets.style_predictions import style_prediction_assets
from pipeline.assets.suspicion import suspicion_assets
from pipeline.assets.training import training_assets
from pipeline.assets.training_request import training_request_assets
from pipeline.assets.trends import trend_assets
from pipeline.assets.withdrawal import withdrawal_assets
from pipeline.automation import automation_sensors, with_automation
from pipeline.checks import checks
from pipeline.freshness_policies import with_freshness
from pipeline.inputs import input_assets
from pipeline.jobs import jobs
from pipeline.lineage import with_lineage
from pipeline.operation_checks import operation_checks
from pipeline.progress import Progress
from pipeline.resources import Clock, now, resources
from pipeline.schedules import schedules
from pipeline.sensors import sensors
from pipeline.settings import Settings
from pipeline.table_checks import table_checks


def build_definitions(settings: Settings, progress: Progress | None = None, clock: Clock = now) -> dg.Definitions:
    """Return assets, checks, jobs and resources for ``settings``; nothing is read from the data location."""
    assets = [
        *crawl_assets(settings),
        *dedup_assets(settings),
        *label_assets(settings),
        *label_studio_assets(settings),
        *data_set_assets(settings),
        *data_card_assets(settings),
        *graph_assets(settings),
        *training_assets(settings),
        *suspicion_assets(settings),
        *evaluation_assets(settings),
        *ablation_assets(settings),
        *training_request_assets(settings),
        *champion_assets(settings),
        *style_prediction_assets(settings),
        *trend_assets(settings),
        *withdrawal_assets(settings),
    ]
    assets = with_freshness(with_automation(with_lineage(assets, settings), settings), settings)
    names = {key.to_user_string() for one in assets for key in one.keys}
    return dg.Definitions(
        assets=[*input_assets(settings), *assets],
        asset_checks=[*checks(settings), *operation_checks(settings), *table_checks(assets)],
        jobs=jobs(settings),
        schedules=schedules(settings),
        sensors=[*sensors(settings), *alert_sensors(), *automation_sensors(settings, names)],
        resources=resources(settings, progress, clock),
        executor=dg.in_process_executor,
    )
