"""Builds the demo's world on disk: pictures, the server's answers, and the truth about both."""

import json
import logging
import multiprocessing
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

from pipeline.demo.illustrations import describe_outfit
from pipeline.demo.pictures import Drawing, Drawn, animation, html_page, huge_png, write_drawing
from pipeline.demo.planning import Plan, plan_posts
from pipeline.demo.planted import (
    KEPT_KINDS,
    MEDIA_FOLDER,
    PLANTED_FILE,
    STATUSES_FILE,
    Planted,
    PlantedImage,
    PlantedPost,
)  # fmt: skip
from pipeline.demo.posts import HASHTAGS, Media, snowflake, status, timestamp

VERSION = 1  # of the drawings and the plan: a world of another version is built again
_RECIPE_FILE = "recipe.json"
_WORTH_PROCESSES = 100  # drawings for which it pays to start processes
_logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]


def build_world(
    folder: Path, seed: int = 2019, posts: int = 1500, processes: int = 2, progress: Progress | None = None
) -> Planted:
    """Build a world of ``posts`` posts in ``folder``, or return the one that stands there.

    The same seed and number of posts give the same files. The folder appears when complete. ``progress`` is called
    with (pictures drawn, pictures in all). Raises ValueError if ``folder`` holds something else than a world.
    """
    recipe = {"version": VERSION, "seed": seed, "posts": posts}
    if _recipe(folder) == recipe:
        return Planted.load(folder)
    if folder.exists() and any(folder.iterdir()) and not (folder / PLANTED_FILE).exists():
        raise ValueError(f"{folder} is not empty and holds no demo world: give another folder")
    partial_folder = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial_folder, ignore_errors=True)
    (partial_folder / MEDIA_FOLDER).mkdir(parents=True)
    plans = plan_posts(posts, seed)
    drawn = _draw_all(partial_folder / MEDIA_FOLDER, plans, processes, progress)
    planted = _write_world(partial_folder, plans, drawn, seed)
    (partial_folder / _RECIPE_FILE).write_text(json.dumps(recipe) + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    partial_folder.replace(folder)
    _logger.info("built a world of %d posts with %d pictures in %s", posts, len(planted.images), folder)
    return planted


def _recipe(folder: Path) -> object:
    path = folder / _RECIPE_FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _drawings(plans: Sequence[Plan]) -> list[Drawing]:
    """Everything to draw, with the reposts of each picture."""
    reposts: dict[str, list[tuple[str, str]]] = {}
    for plan in plans:
        if plan.kind == "repost" and plan.origin is not None and plan.edit is not None:
            reposts.setdefault(plans[plan.origin].names[0], []).append((plan.names[0], plan.edit))
    drawings = [drawing for plan in plans for drawing in plan.drawings]
    return [replace(drawing, reposts=tuple(reposts.get(drawing.name, ()))) for drawing in drawings]


def _draw_all(folder: Path, plans: Sequence[Plan], processes: int, progress: Progress | None) -> dict[str, Drawn]:
    """Draw all pictures; by name without suffix."""
    drawings = _drawings(plans)
    drawn: dict[str, Drawn] = {}
    for done, files in enumerate(_paint(folder, drawings, processes), start=1):
        drawn.update((file.name.partition(".")[0], file) for file in files)
        if progress:
            progress(done, len(drawings))
    return drawn


def _paint(folder: Path, drawings: Sequence[Drawing], processes: int) -> Iterator[list[Drawn]]:
    paint = partial(write_drawing, folder)
    if processes < 2 or len(drawings) < _WORTH_PROCESSES:
        yield from map(paint, drawings)
        return
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(paint, drawings, chunksize=16)


def _write_world(folder: Path, plans: Sequence[Plan], drawn: dict[str, Drawn], seed: int) -> Planted:
    media_folder = folder / MEDIA_FOLDER
    statuses: dict[int, dict[str, object]] = {}
    images: dict[str, PlantedImage] = {}
    posts: list[PlantedPost] = []
    media: dict[int, list[Media]] = {}
    for plan in plans:
        files = [_place(media_folder, plan, at, plans, drawn) for at in range(len(plan.names))]
        alt_texts = [describe_outfit(d.main, d.subs, d.seed) for d in plan.drawings] if plan.number % 3 else []
        media[plan.number] = [
            Media(file.name, file.width, file.height, alt_texts[at] if at < len(alt_texts) else None)
            for at, file in enumerate(files)
        ]
        post_id = snowflake(plan.arrival, plan.number)
        shown = media[plan.origin] if plan.kind == "boost" and plan.origin is not None else media[plan.number]
        statuses[post_id] = status(
            post_id, plan.author, plan.created_at, plan.tags, plan.text, shown, sensitive=plan.kind == "sensitive",
            reblog=_boosted(plan, plans, media),
        )  # fmt: skip
        good = plan.kind in KEPT_KINDS
        ids = tuple(file.image_id for file in files) if good else ()
        posts.append(PlantedPost(str(post_id), plan.kind, plan.author, timestamp(plan.created_at), plan.tags, ids))
        if good:
            images.update(
                (image.image_id, image) for image in _truths(plan, plans, files, drawn) if image.image_id not in images
            )
    ordered = [statuses[key] for key in sorted(statuses, reverse=True)]
    with (folder / STATUSES_FILE).open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(one, ensure_ascii=False) + "\n" for one in ordered)
    planted = Planted(seed, HASHTAGS, tuple(sorted(posts, key=lambda post: int(post.post_id))), images)
    planted.save(folder)
    return planted


def _boosted(plan: Plan, plans: Sequence[Plan], media: dict[int, list[Media]]) -> dict[str, object] | None:
    if plan.kind != "boost" or plan.origin is None:
        return None
    origin = plans[plan.origin]
    return status(
        snowflake(origin.arrival, origin.number),
        origin.author,
        origin.created_at,
        origin.tags,
        origin.text,
        media[origin.number],
    )


def _truths(plan: Plan, plans: Sequence[Plan], files: list[Drawn], drawn: dict[str, Drawn]) -> list[PlantedImage]:
    """The styles of a post's pictures."""
    if plan.origin is None:
        return [PlantedImage(file.image_id, d.main, d.subs) for file, d in zip(files, plan.drawings, strict=True)]
    origin = plans[plan.origin].drawings[0]
    root = drawn[origin.name].image_id
    return [
        PlantedImage(file.image_id, origin.main, origin.subs, root, plan.edit)
        for file in files
        if file.image_id != root
    ]


def _place(folder: Path, plan: Plan, at: int, plans: Sequence[Plan], drawn: dict[str, Drawn]) -> Drawn:
    """Make sure that the file of a post's picture is there as planned, and say what it is."""
    name = plan.names[at]
    match plan.kind:
        case "same_bytes" if plan.origin is not None:
            original = drawn[plans[plan.origin].names[0]]
            copy = replace(original, name=name + Path(original.name).suffix)
            shutil.copyfile(folder / original.name, folder / copy.name)
            return copy
        case "truncated":
            path = folder / drawn[name].name
            content = path.read_bytes()
            path.write_bytes(content[: int(len(content) * 0.55)])
            return drawn[name]
        case "html_page":
            (folder / f"{name}.jpg").write_bytes(html_page())
            return Drawn(f"{name}.jpg", "", 640, 800)
        case "too_many_pixels":
            (folder / f"{name}.png").write_bytes(huge_png())
            return Drawn(f"{name}.png", "", 30_000, 30_000)
        case "animated":
            (folder / f"{name}.gif").write_bytes(animation(plan.number))
            return Drawn(f"{name}.gif", "", 160, 200)
        case "deleted":
            return Drawn(f"{name}.jpg", "", 640, 800)
        case _:
            return drawn[name]
