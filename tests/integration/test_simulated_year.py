"""A short simulated year, run by the real schedules, sensors and conditions: everything planted is found."""

from pathlib import Path

import pytest
from rich.console import Console

from pipeline.simulation.command import simulate
from pipeline.simulation.plan import year_of

pytestmark = [
    pytest.mark.integration,
    pytest.mark.long,
    pytest.mark.timeout(1500),
    pytest.mark.filterwarnings("ignore:Non-compliant tag keys:DeprecationWarning"),  # Dagster's own, of two dimensions
]


def test_eight_weeks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STYLEGRAPH_HMAC_KEY", "0" * 64)
    console = Console(record=True, width=200)
    code = simulate(tmp_path, year_of(8), console)
    text = console.export_text()
    assert code == 0, text
    assert "differs" not in text
