"""Builds the demo's world on disk: pictures, the server's answers, and the truth about both."""

import json
import logging
import multiprocessing
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
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
    wanted = {"version": VERSION, "seed": seed, "posts": posts}
    if recipe(folder) == wanted:
        return Planted.load(folder)
    if folder.exists() and any(folder.iterdir()) and not (folder / PLANTED_FILE).exists():
        raise ValueError(f"{folder} is not empty and holds no demo world: give another folder")
    partial_folder = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial_folder, ignore_errors=True)
    (partial_folder / MEDIA_FOLDER).mkdir(parents=True)
    plans = plan_posts(posts, seed)
    drawn = draw_all(partial_folder / MEDIA_FOLDER, plans, processes, progress)
    written = write_posts(partial_folder, plans, {plan.number: plan for plan in plans}, drawn)
    planted = Planted(seed, HASHTAGS, written.posts, written.images)
    planted.save(partial_folder)
    (partial_folder / _RECIPE_FILE).write_text(json.dumps(wanted) + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    partial_folder.replace(folder)
    _logger.info("built a world of %d posts with %d pictures in %s", posts, len(planted.images), folder)
    return planted


def recipe(folder: Path) -> dict[str, int] | None:
    """Return what a world was built from (version, seed, posts); None where there is none."""
    path = folder / _RECIPE_FILE
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def _drawings(plans: Sequence[Plan]) -> list[Drawing]:
    """Everything to draw, with the reposts of each picture."""
    reposts: dict[int, list[tuple[str, str]]] = {}
    for plan in plans:
        if plan.kind == "repost" and plan.origin is not None and plan.edit is not None:
            reposts.setdefault(plan.origin, []).append((plan.names[0], plan.edit))
    return [
        replace(drawing, reposts=tuple(reposts.get(plan.number, ())) if drawing.name == plan.names[0] else ())
        for plan in plans
        for drawing in plan.drawings
    ]


def draw_all(folder: Path, plans: Sequence[Plan], processes: int, progress: Progress | None) -> dict[str, Drawn]:
    """Draw all pictures of ``plans``, among which are the originals of their reposts; by name without suffix."""
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


@dataclass(frozen=True)
class Written:
    """The truth about posts that were written, by rising id, and about their good pictures by image_id."""

    posts: tuple[PlantedPost, ...]
    images: dict[str, PlantedImage]


def write_posts(folder: Path, plans: Sequence[Plan], known: Mapping[int, Plan], drawn: Mapping[str, Drawn]) -> Written:
    """Write the statuses of ``plans`` and the pictures that are not drawn; ``known`` are all plans by number."""
    media_folder = folder / MEDIA_FOLDER
    statuses: dict[int, dict[str, object]] = {}
    images: dict[str, PlantedImage] = {}
    posts: list[PlantedPost] = []
    for plan in plans:
        files = [_place(media_folder, plan, at, known, drawn) for at in range(len(plan.names))]
        post_id = snowflake(plan.arrival, plan.number)
        boosted = known[plan.origin] if plan.kind == "boost" and plan.origin is not None else None
        statuses[post_id] = status(
            post_id, plan.author, plan.created_at, plan.tags, plan.text,
            _media(boosted, [drawn[name] for name in boosted.names]) if boosted else _media(plan, files),
            sensitive=plan.kind == "sensitive", reblog=_boosted(boosted, drawn) if boosted else None,
        )  # fmt: skip
        good = plan.kind in KEPT_KINDS
        ids = tuple(file.image_id for file in files) if good else ()
        posts.append(PlantedPost(str(post_id), plan.kind, plan.author, timestamp(plan.created_at), plan.tags, ids))
        for image in _truths(plan, known, files, drawn) if good else ():
            images.setdefault(image.image_id, image)
    with (folder / STATUSES_FILE).open("w", encoding="utf-8") as file:
        for key in sorted(statuses, reverse=True):
            file.write(json.dumps(statuses[key], ensure_ascii=False) + "\n")
    return Written(tuple(sorted(posts, key=lambda post: int(post.post_id))), images)


def _media(plan: Plan, files: Sequence[Drawn]) -> list[Media]:
    """A post's pictures; every third post says nothing about them."""
    texts = [describe_outfit(d.main, d.subs, d.seed) for d in plan.drawings] if plan.number % 3 else []
    return [
        Media(file.name, file.width, file.height, texts[at] if at < len(texts) else None)
        for at, file in enumerate(files)
    ]


def _boosted(origin: Plan, drawn: Mapping[str, Drawn]) -> dict[str, object]:
    return status(
        snowflake(origin.arrival, origin.number),
        origin.author,
        origin.created_at,
        origin.tags,
        origin.text,
        _media(origin, [drawn[name] for name in origin.names]),
    )


def _truths(
    plan: Plan, plans: Mapping[int, Plan], files: list[Drawn], drawn: Mapping[str, Drawn]
) -> list[PlantedImage]:
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


def _place(folder: Path, plan: Plan, at: int, plans: Mapping[int, Plan], drawn: Mapping[str, Drawn]) -> Drawn:
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
