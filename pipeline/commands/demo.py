"""``stylegraph demo``: the whole job on a small social network of its own."""

import json
import os
from collections import Counter
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from string import Template

from rich.console import Console

from pipeline.commands.demo_network import CONFIG_NAME, EXPORT_NAME, SEED, WORLD_NAME, demo_environment
from pipeline.commands.live_demo import work_in_label_studio
from pipeline.commands.report import print_report
from pipeline.commands.run import run_stages, say_failures
from pipeline.demo.check import check_planted, check_work
from pipeline.demo.experts import write_export
from pipeline.demo.posts import HASHTAGS
from pipeline.demo.work import Work
from pipeline.demo.world import Planted, build_world
from pipeline.display import Display, print_table
from pipeline.last_run import remember
from pipeline.partitions import window_keys
from pipeline.run import Outcome, collection_steps, label_steps, model_steps
from pipeline.settings import CONFIG_VARIABLE, Settings, load_settings
from pipeline.storage import Storage, write_file

LIVE_LABELS = """kind = "label_studio"
project = "Fashion styles (demo)"
open_tasks = $open  # the others come when a model can show predictions beside them
reconcile_hours = 0"""


def run_demo(folder: Path, posts: int, console: Console, *, live: bool) -> int:
    """Build the network, crawl it, let simulated experts label, train, compare; return the exit code.

    With ``live`` the experts work in a Label Studio server: the one that the environment names, else one of the demo's
    own.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    display = Display(console)
    with display.shown(1):
        drawing = display.step("drawing pictures")
        planted = build_world(folder / WORLD_NAME, SEED, posts, progress=drawing)
    console.print(
        f"A small social network with {len(planted.posts):,} posts, {len(planted.images):,} drawn pictures",
        highlight=False,
    )
    config = _write_config(folder, posts if live else None)
    with demo_environment(config, console) as environment:
        os.environ.update({**environment, CONFIG_VARIABLE: str(config)})
        settings = load_settings(config)
        remember(config)
        outcomes = run_stages(settings, collection_steps(settings), console)
        refused, work = Counter[str](), None
        if any(outcome.step.key == "collection" and not outcome.failure for outcome in outcomes):
            if live:
                work, further = work_in_label_studio(folder, planted, SEED, settings, console)
            else:
                refused, further = _write_export_file(folder, planted, settings, console)
            outcomes += further
    failures = [outcome for outcome in outcomes if outcome.failure]
    if failures:
        return say_failures(failures, console)
    ok = _print_checks(planted, refused, work, settings, console)
    print_report(settings, console)
    console.print(
        "Look at the graph: make dev      Use the model: stylegraph predict IMAGE", highlight=False, soft_wrap=True
    )
    return 0 if ok else 1


def _write_export_file(
    folder: Path, planted: Planted, settings: Settings, console: Console
) -> tuple[Counter[str], list[Outcome]]:
    """Let the experts' work appear as an exported file; go on to the report."""
    tasks = Storage(settings.data.location).read_table("label_tasks").to_pandas()
    refused = write_export(tasks, planted, folder / EXPORT_NAME, SEED, settings.taxonomy.labels)
    return Counter(refused), run_stages(settings, [*label_steps(), *model_steps(settings)], console)


def _write_config(folder: Path, posts_of_live: int | None) -> Path:
    """Write the demo's settings file, unless it is there: people may have changed it."""
    config = folder / CONFIG_NAME
    if not config.exists():
        template = Template(resources.files("pipeline.demo").joinpath("stylegraph.toml").read_text("utf-8"))
        labels = f'kind = "label_studio_export"\npath = "{EXPORT_NAME}"'
        if posts_of_live:
            labels = Template(LIVE_LABELS).substitute(open=posts_of_live // 2)
        write_file(config, template.substitute(labels=labels, hashtags=json.dumps(HASHTAGS)).encode())
    return config


def _print_checks(
    planted: Planted, refused: Mapping[str, int], work: Work | None, settings: Settings, console: Console
) -> bool:
    """Print what was planted beside what was found; return whether everything was."""
    storage = Storage(settings.data.location)
    windows = window_keys(settings.windows)
    annotations = storage.read_table("annotations").to_pandas()
    quarantined = storage.read_table("quarantined_annotations").to_pandas()
    checks = check_planted(
        planted,
        posts=storage.read_windows("posts", windows).to_pandas(),
        images=storage.read_windows("images", windows).to_pandas(),
        counts=storage.read_windows("crawl_counts", windows).to_pandas(),
        unique=storage.read_table("unique_images").to_pandas(),
        annotations=annotations,
        quarantined=quarantined,
        refused=refused,
    )
    if work is not None:
        checks += check_work(
            work,
            annotations=annotations,
            quarantined=quarantined,
            versions=storage.read_table("annotation_versions").to_pandas(),
            returned=storage.read_table("returned_tasks").to_pandas(),
        )
    rows = [[check.name, check.planted, check.found, "✓" if check.ok else "differs"] for check in checks]
    print_table("Planted and found", ["what", "planted", "found", ""], rows, console)
    return all(check.ok for check in checks)
