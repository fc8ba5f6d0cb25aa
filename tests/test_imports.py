"""Who may import whom, and what loading the graph may cost."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FORBIDDEN = {
    "crawlers": {
        "pipeline",
        "labeling",
        "modeling",
        "dagster",
        "torch",
        "torchvision",
        "lightning",
        "label_studio_sdk",
    },
    "labeling": {"pipeline", "crawlers", "modeling", "dagster", "torch", "torchvision", "lightning", "scrapy"},
    "modeling": {"pipeline", "crawlers", "labeling", "dagster", "scrapy", "label_studio_sdk"},
}


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", sorted(FORBIDDEN))
def test_a_library_package_imports_only_what_it_may(package: str) -> None:
    modules = sorted((ROOT / package).rglob("*.py"))
    assert modules
    for module in modules:
        assert not imported(module) & FORBIDDEN[package], module


def test_nothing_but_tests_and_benchmarks_imports_the_pipeline() -> None:
    for module in ROOT.glob("*/**/*.py"):
        top = module.relative_to(ROOT).parts[0]
        if top not in {"pipeline", "tests", "benchmarks"} and not top.startswith("."):
            assert "pipeline" not in imported(module), module


def test_the_graph_loads_without_torch_and_scrapy(tmp_path: Path) -> None:
    code = (
        "import sys; from pipeline.definitions import defs; "
        "assert defs.resolve_all_asset_keys(); "
        "heavy = {'torch', 'torchvision', 'lightning', 'scrapy', 'matplotlib.pyplot'} & set(sys.modules); "
        "sys.exit(f'loaded {sorted(heavy)}' if heavy else 0)"
    )
    environment = {"PATH": "/usr/bin:/bin", "STYLEGRAPH_CONFIG": str(ROOT / "stylegraph.toml"), "HOME": str(tmp_path)}
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
