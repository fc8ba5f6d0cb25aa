"""A graph of assets that work until they are told to go on, for tests of the services."""

import os
import time
from pathlib import Path

import dagster as dg

from pipeline.locks import TRAINING_POOL


@dg.asset
def slow(context: dg.AssetExecutionContext) -> None:
    """Note that it began, wait for the file ``go``, note that it ended."""
    _work(context)


@dg.asset(pool=TRAINING_POOL)
def slow_training(context: dg.AssetExecutionContext) -> None:
    """Do the same where only one may do so at a time."""
    _work(context)


def _work(context: dg.AssetExecutionContext) -> None:
    folder = Path(os.environ["SLOW_GRAPH_FOLDER"])
    with (folder / "began").open("a") as file:
        file.write(f"{context.run.run_id}\n")
    while not (folder / "go").exists():
        time.sleep(0.05)
    with (folder / "ended").open("a") as file:
        file.write(f"{context.run.run_id}\n")


defs = dg.Definitions(
    assets=[slow, slow_training],
    jobs=[
        dg.define_asset_job("slow_job", [slow], executor_def=dg.in_process_executor),
        dg.define_asset_job("slow_training_job", [slow_training], executor_def=dg.in_process_executor),
    ],
)
