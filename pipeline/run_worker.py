"""The process of one run: ``python -m pipeline.run_worker RUN_ID``, with DAGSTER_HOME set. Started by the launcher."""

import sys

import dagster as dg
from dagster._cli.api import api_cli
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import serialize_value

from pipeline.run_launcher import tags_here


def main(run_id: str) -> None:
    """Note in the run's tags who works on it, then do what it asks for."""
    with dg.DagsterInstance.get() as instance:
        instance.add_run_tags(run_id, tags_here(instance))
        run = instance.get_run_by_id(run_id)
        if run is None or run.job_code_origin is None:
            sys.exit(f"run {run_id} is not known here, or says nothing of its code")
        arguments = ExecuteRunArgs(run.job_code_origin, run_id, instance.get_ref())
    api_cli.main(["execute_run", serialize_value(arguments)], prog_name="dagster api")


if __name__ == "__main__":
    main(sys.argv[1])
