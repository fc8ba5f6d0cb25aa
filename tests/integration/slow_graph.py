"""A graph of one asset that works until it is told to go on, for tests of the services."""

import os
import time
from pathlib import Path

import dagster as dg


@dg.asset
def slow(context: dg.AssetExecutionContext) -> None:
    """Note that it began, wait for the file ``go``, note that it ended."""
    folder = Path(os.environ["SLOW_GRAPH_FOLDER"])
    with (folder / "began").open("a") as file:
        file.write(f"{context.run.run_id}\n")
    while not (folder / "go").exists():
        time.sleep(0.05)
    with (folder / "ended").open("a") as file:
        file.write(f"{context.run.run_id}\n")


defs = dg.Definitions(
    assets=[slow],
    jobs=[dg.define_asset_job("slow_job", [slow], executor_def=dg.in_process_executor)],
)
