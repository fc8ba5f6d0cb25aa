"""The files in deploy/: units and containers start what really runs."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.integration.running_services import ENDED, Asked, free_port, wait_for
from tests.pipeline.small_case import write_case

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]
DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = sorted((DEPLOY / "systemd").iterdir())
PYTHON, SOCKET = "/opt/stylegraph/.venv/bin/python", "/run/stylegraph/code_server.sock"


def commands(unit: str) -> list[list[str]]:
    """Return what a unit starts, in order."""
    text = (DEPLOY / "systemd" / unit).read_text()
    return [shlex.split(line) for line in re.findall(r"^ExecStart(?:Pre)?=(.*)$", text, re.MULTILINE)]


def containers() -> dict[str, dict]:
    return yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())["services"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for unit in UNITS:  # verify wants programs that are there
        text = unit.read_text().replace("/opt/stylegraph/.venv/bin/", f"{Path(sys.executable).parent}/")
        (tmp_path / unit.name).write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", *(tmp_path / unit.name for unit in UNITS)]
    verified = subprocess.run(command, capture_output=True, text=True)
    about_ours = [line for line in verified.stderr.splitlines() if "stylegraph" in line]
    assert (verified.returncode, about_ours) == (0, [])


def test_containers_start_the_same_as_the_units() -> None:
    found = containers()
    (prepare, code), (web,), (health, daemon) = (
        commands(f"stylegraph-{name}.service") for name in ("code", "web", "daemon")
    )
    assert found["code"]["healthcheck"]["test"] == ["CMD", "python", *health[1:]]
    home = {"${DAGSTER_HOME}/workspace.yaml": "/var/lib/stylegraph/dagster/workspace.yaml"}
    for name, command in {"prepare": prepare, "code": code, "web": web, "daemon": daemon}.items():
        words = [home.get(word, Path(word).name if word.startswith("/opt/") else word) for word in command]
        assert found[name]["command"] == words, name


def test_the_image_holds_what_the_makefile_and_the_manual_install() -> None:
    dockerfile = (DEPLOY / "compose" / "Dockerfile").read_text()
    assert "'.[s3,postgres]'" in dockerfile
    for name in ("Makefile", "docs/operations.md"):
        named = re.findall(r"dagster-postgres==[\d.]+", (DEPLOY.parent / name).read_text())
        assert named == re.findall(r"--no-deps (dagster-postgres==[\d.]+)", dockerfile) * len(named), name


def test_nothing_in_deploy_listens_elsewhere_or_holds_a_secret() -> None:
    for path in (path for path in DEPLOY.rglob("*") if path.is_file()):
        text = path.read_text()
        assert "0.0.0.0" not in text, path
        for name in ("HMAC_KEY", "TOKEN", "POSTGRES_URL", "SMTP_URL", "WEBHOOK_URL"):
            assert re.search(rf"{name}=\S", text) is None, path
    assert all("ports" not in container for container in containers().values())


@pytest.mark.skipif(
    shutil.which("docker") is None or subprocess.run(["docker", "compose", "version"], capture_output=True).returncode,
    reason="no docker compose here",
)
def test_compose_takes_the_file(tmp_path: Path) -> None:
    folder = shutil.copytree(DEPLOY / "compose", tmp_path / "compose")
    shutil.copy(DEPLOY / "stylegraph.env.example", folder / "stylegraph.env")
    checked = subprocess.run(["docker", "compose", "config", "--quiet"], cwd=folder, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


def test_what_the_units_start_works_together(tmp_path: Path) -> None:
    config, port = write_case(tmp_path, images=1), free_port()
    home = tmp_path / "data" / "dagster"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("STYLEGRAPH_")}
    environment |= {"STYLEGRAPH_CONFIG": str(config), "DAGSTER_HOME": str(home)}
    here = {PYTHON: sys.executable, SOCKET: str(tmp_path / "code.sock"), "3000": str(port)}
    here["/opt/stylegraph/.venv/bin/stylegraph"] = str(Path(sys.executable).parent / "stylegraph")

    def words(command: list[str]) -> list[str]:
        return [here.get(word, word).replace("${DAGSTER_HOME}", str(home)) for word in command]

    prepare, code = commands("stylegraph-code.service")
    ready = subprocess.run(words(prepare), env=environment, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert ready.stdout.strip() == f"Ready: DAGSTER_HOME={home.resolve()}"
    (web,), (health, daemon) = commands("stylegraph-web.service"), commands("stylegraph-daemon.service")
    started = []
    try:
        for command in (code, web, daemon):
            if command is daemon:
                wait_for(lambda: subprocess.run(words(health), capture_output=True).returncode == 0, 120, "the code")
            with (tmp_path / "services.log").open("ab") as log:
                started.append(subprocess.Popen(words(command), env=environment, cwd=tmp_path, stdout=log, stderr=log))
        asked = Asked(port, home)
        wait_for(asked.shows_graph, 120, "the graph")
        run = asked.launch("write_report")
        wait_for(lambda: asked.status(run) in ENDED, 90, "a run")
        assert all(process.poll() is None for process in started)
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(60)
