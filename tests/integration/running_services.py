"""Services that a test runs, asks over GraphQL, and kills."""

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from pipeline.processes import Process
from pipeline.supervisor import read_note

LAUNCH = """
mutation ($job: String!) {
  launchRun(executionParams: {selector: {repositoryLocationName: "stylegraph", repositoryName: "__repository__",
      pipelineName: $job}, runConfigData: {}, mode: "default"}) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  }
}
"""
RUNS = "{ runsOrError { ... on Runs { results { runId status jobName parentRunId tags { key value } } } } }"
TERMINATE = "mutation ($id: String!) { terminateRun(runId: $id) { __typename } }"
ENDED = {"SUCCESS", "FAILURE", "CANCELED"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: Callable[[], Any], seconds: float, why: str = "") -> Any:
    """Ask until the answer is true, and return it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := what():
            return answer
        time.sleep(0.2)
    raise AssertionError(f"waited {seconds:.0f} s for {why or what}")


class Asked:
    """The webserver of running services, as a client sees it."""

    def __init__(self, port: int, home: Path) -> None:
        self.address, self.home = f"http://127.0.0.1:{port}", home

    def graphql(self, query: str, **variables: object) -> dict[str, Any]:
        body = {"query": query, "variables": variables}
        answer = httpx.post(f"{self.address}/graphql", json=body, timeout=60, trust_env=False).raise_for_status()
        assert "errors" not in answer.json(), answer.json()["errors"]
        return dict(answer.json()["data"])

    def shows_graph(self) -> bool:
        try:
            return bool(self.graphql("{ assetNodes { id } }")["assetNodes"])
        except (httpx.HTTPError, OSError):
            return False

    def launch(self, job: str) -> str:
        answer = self.graphql(LAUNCH, job=job)["launchRun"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])

    def runs(self) -> list[dict[str, Any]]:
        results = self.graphql(RUNS)["runsOrError"]["results"]
        return [{**run, "tags": {tag["key"]: tag["value"] for tag in run["tags"]}} for run in results]

    def status(self, run_id: str) -> str:
        return next(str(run["status"]) for run in self.runs() if run["runId"] == run_id)

    def process(self, name: str) -> Process:
        return dict(read_note(self.home / "services.json"))[name]

    def kill(self, name: str) -> Process:
        """Kill a service at once, and return what was killed."""
        process = self.process(name)
        os.kill(process.pid, signal.SIGKILL)
        return process

    def wait_for_another(self, killed: Process, name: str, seconds: float = 30) -> None:

        def another() -> bool:
            found = dict(read_note(self.home / "services.json")).get(name)
            return found is not None and found != killed and found.runs()

        wait_for(another, seconds, f"another {name}")
