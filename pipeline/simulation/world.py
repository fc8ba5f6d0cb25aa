"""Draws a simulated year and writes it as the demo's network server reads it, with the truth about it."""

import hashlib
import io
import json
import multiprocessing
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.demo.illustrations import draw_outfit
from pipeline.demo.pictures import EDITS, SUFFIXES, Drawing, Drawn, encode
from pipeline.demo.planning import Plan
from pipeline.demo.planted import KEPT_KINDS, MEDIA_FOLDER, STATUSES_FILE, Planted, PlantedImage, PlantedPost
from pipeline.demo.posts import HASHTAGS, Media, snowflake, status, timestamp
from pipeline.simulation.plan import Year
from pipeline.simulation.posts import YearOfPosts, plan_year

SIZE = (160, 200)  # pixels, width and height: small, so that a year is drawn in seconds
_QUALITY = 90

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class SimulatedWorld:
    """What was planted: posts and images, the week of each post by its native id, and the author who withdraws."""

    planted: Planted
    weeks: dict[str, int]
    withdrawn_author: str

    def withdrawn_posts(self) -> set[str]:
        """Native ids of the posts of the author who withdraws."""
        return {post.post_id for post in self.planted.posts if post.author == self.withdrawn_author}

    def withdrawn_images(self) -> set[str]:
        """Images of the author who withdraws, and everything that anybody made from them."""
        posts = (post for post in self.planted.posts if post.author == self.withdrawn_author)
        own = {image_id for post in posts for image_id in post.image_ids}
        return {image_id for image_id in self.planted.images if self.planted.root(image_id) in own}


def build_year(folder: Path, year: Year, processes: int = 2, progress: Progress | None = None) -> SimulatedWorld:
    """Draw all pictures of a year and write what its network shows into ``folder``, which must be new or empty."""
    media = folder / MEDIA_FOLDER
    media.mkdir(parents=True)
    posts = plan_year(year)
    drawn = _draw_all(media, posts.plans, processes, progress)
    return _write(folder, year, posts, drawn)


def _draw_all(folder: Path, plans: Sequence[Plan], processes: int, progress: Progress | None) -> dict[str, Drawn]:
    """Draw all pictures; by name without suffix."""
    reposts: dict[str, list[tuple[str, str]]] = {}
    for plan in plans:
        if plan.origin is not None and plan.edit is not None:
            reposts.setdefault(plans[plan.origin].names[0], []).append((plan.names[0], plan.edit))
    drawings = [
        replace(drawing, reposts=tuple(reposts.get(drawing.name, ()))) for plan in plans for drawing in plan.drawings
    ]
    drawn: dict[str, Drawn] = {}
    for done, files in enumerate(_paint(folder, drawings, processes), start=1):
        drawn.update((file.name.partition(".")[0], file) for file in files)
        if progress:
            progress(done, len(drawings))
    return drawn


def _paint(folder: Path, drawings: Sequence[Drawing], processes: int) -> Iterator[list[Drawn]]:
    paint = partial(_draw, folder)
    if processes < 2:
        yield from map(paint, drawings)
        return
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(paint, drawings, chunksize=32)


def _draw(folder: Path, drawing: Drawing) -> list[Drawn]:
    """Draw a picture and its reposts; the original is the first of the result."""
    content = encode(draw_outfit(drawing.main, drawing.subs, drawing.seed, SIZE), "JPEG", _QUALITY)
    written = [_save(folder, f"{drawing.name}.jpg", content, SIZE)]
    with Image.open(io.BytesIO(content)) as stored:
        original = stored.convert("RGB")
    rng = np.random.default_rng([drawing.seed, 1])
    for name, edit in drawing.reposts:
        edited, kind, quality = EDITS[edit](original, rng)
        written.append(_save(folder, name + SUFFIXES[kind], encode(edited, kind, quality), edited.size))
    return written


def _save(folder: Path, name: str, content: bytes, size: tuple[int, int]) -> Drawn:
    (folder / name).write_bytes(content)
    return Drawn(name, hashlib.sha256(content).hexdigest(), *size)


def _write(folder: Path, year: Year, posts: YearOfPosts, drawn: dict[str, Drawn]) -> SimulatedWorld:
    plans = posts.plans
    statuses: list[tuple[int, dict[str, object]]] = []
    planted: list[PlantedPost] = []
    images: dict[str, PlantedImage] = {}
    weeks: dict[str, int] = {}
    for plan, week in zip(plans, posts.weeks, strict=True):
        file = _file(folder / MEDIA_FOLDER, plan, plans, drawn)
        post_id = snowflake(plan.arrival, plan.number)
        statuses.append((post_id, _status(post_id, plan, plans, drawn, file)))
        kept = plan.kind in KEPT_KINDS and file is not None
        ids = (file.image_id,) if file is not None and kept else ()
        planted.append(PlantedPost(str(post_id), plan.kind, plan.author, timestamp(plan.created_at), plan.tags, ids))
        weeks[str(post_id)] = week
        if file is not None and kept:
            images.setdefault(file.image_id, _truth(file, plan, plans, drawn))
    with (folder / STATUSES_FILE).open("w", encoding="utf-8") as sink:
        sink.writelines(json.dumps(one, ensure_ascii=False) + "\n" for _, one in sorted(statuses, reverse=True))
    truth = Planted(year.seed, HASHTAGS, tuple(planted), images)
    truth.save(folder)
    return SimulatedWorld(truth, weeks, posts.withdrawn_author)


def _file(folder: Path, plan: Plan, plans: Sequence[Plan], drawn: dict[str, Drawn]) -> Drawn | None:
    """Make sure that the file of a post's picture is there as planned, and say what it is; None without a picture."""
    if not plan.names:
        return None
    name = plan.names[0]
    match plan.kind:
        case "same_bytes" if plan.origin is not None:
            original = drawn[plans[plan.origin].names[0]]
            copy = replace(original, name=f"{name}.jpg")
            shutil.copyfile(folder / original.name, folder / copy.name)
            return copy
        case "truncated":
            path = folder / drawn[name].name
            content = path.read_bytes()
            path.write_bytes(content[: int(len(content) * 0.55)])
            return drawn[name]
        case "deleted":
            return Drawn(f"{name}.jpg", "", *SIZE)
        case _:
            return drawn[name]


def _status(
    post_id: int, plan: Plan, plans: Sequence[Plan], drawn: dict[str, Drawn], file: Drawn | None
) -> dict[str, object]:
    """Write a post as the server's API gives it; a boost shows another post and its pictures."""
    shown = [_media(file)] if file is not None else []
    boosted = None
    if plan.kind == "boost" and plan.origin is not None:
        origin = plans[plan.origin]
        shown = [_media(drawn[origin.names[0]])]
        number = snowflake(origin.arrival, origin.number)
        boosted = status(number, origin.author, origin.created_at, origin.tags, origin.text, shown)
    return status(
        post_id, plan.author, plan.created_at, plan.tags, plan.text, shown,
        sensitive=plan.kind == "sensitive", reblog=boosted,
    )  # fmt: skip


def _media(file: Drawn) -> Media:
    return Media(file.name, file.width, file.height, None)


def _truth(file: Drawn, plan: Plan, plans: Sequence[Plan], drawn: dict[str, Drawn]) -> PlantedImage:
    """Say which styles a picture shows, and which picture it was made from."""
    if plan.origin is None:
        (drawing,) = plan.drawings
        return PlantedImage(file.image_id, drawing.main, drawing.subs)
    origin = plans[plan.origin]
    root = drawn[origin.names[0]].image_id
    (drawing,) = origin.drawings
    return PlantedImage(file.image_id, drawing.main, drawing.subs, root, plan.edit)
