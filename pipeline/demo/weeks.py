"""Weeks that are added to a demo's world after it was built: a folder each, which appears when it is complete.

``weeks/N/`` holds what a world's own folder holds, for one more week of posts, and the ids of the earlier posts that it
takes the place of: those that were posted after the end of the world, and still are.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path

from pipeline.demo.pictures import Drawn
from pipeline.demo.planning import Plan, end_of, plan_weeks
from pipeline.demo.planted import MEDIA_FOLDER, PLANTED_FILE, WEEKS_FOLDER, week_folders
from pipeline.demo.posts import snowflake
from pipeline.demo.world import Progress, Written, draw_all, recipe, write_posts

PROCESSES = 2  # that draw


def last_day_after(folder: Path) -> date:
    """Return the first day after the last window of a world, its added weeks included."""
    return end_of(len(week_folders(folder))).date()


def add_week(folder: Path, progress: Progress | None = None) -> Written:
    """Add one more week to the world in ``folder`` and return what was posted in it.

    The same world gets the same weeks. A call that is killed leaves the world as it was. Raises ValueError if there is
    no world.
    """
    built = recipe(folder)
    if built is None:
        raise ValueError(f"{folder} holds no demo world: run `stylegraph demo` first")
    week = len(week_folders(folder)) + 1
    parts = plan_weeks(built["posts"], built["seed"], week)
    known = {plan.number: plan for part in parts for plan in part}  # the last place of a post that moved
    partial = folder / WEEKS_FOLDER / f"{week}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    (partial / MEDIA_FOLDER).mkdir(parents=True)
    drawn = _draw(partial / MEDIA_FOLDER, parts[-1], known, progress)
    written = write_posts(partial, parts[-1], known, drawn)
    earlier = {plan.number for part in parts[:-1] for plan in part}
    own = {name for plan in parts[-1] if plan.number not in earlier for name in plan.names}
    for path in (partial / MEDIA_FOLDER).iterdir():
        if path.name.partition(".")[0] not in own:  # of an earlier post, drawn again for a repost
            path.unlink()
    gone = [str(snowflake(plan.arrival, plan.number)) for plan in _moved(parts)]
    content = {
        "posts": [asdict(post) for post in written.posts],
        "images": [asdict(image) for image in written.images.values()],
        "gone": gone,
    }
    (partial / PLANTED_FILE).write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    partial.rename(folder / WEEKS_FOLDER / str(week))
    return written


def _draw(folder: Path, own: Sequence[Plan], known: dict[int, Plan], progress: Progress | None) -> dict[str, Drawn]:
    """Draw a week's pictures, and once more the earlier ones that are posted again in it."""
    numbers = {plan.number for plan in own}
    again = {plan.origin for plan in own if plan.origin is not None} - numbers
    return draw_all(folder, [*(known[number] for number in sorted(again)), *own], PROCESSES, progress)


def _moved(parts: Sequence[Sequence[Plan]]) -> list[Plan]:
    """Return the earlier places of the posts that the last week moves on, where they stood until now."""
    moved = {plan.number for plan in parts[-1] if plan.kind == "outside_window"}
    return [plan for plan in parts[-2] if plan.number in moved]
