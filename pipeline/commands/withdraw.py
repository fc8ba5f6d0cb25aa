"""``stylegraph withdraw``: write down what must not be kept, say what that is, and remove it."""

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from crawlers.dedup.phash import HashFailure, hash_image
from crawlers.identity import author_hmac, key_from_env
from crawlers.sources import ArchiveSource, without_port
from pipeline.champions import FOLDER as CHAMPIONS
from pipeline.champions import champion_version
from pipeline.graph import build_definitions
from pipeline.instance import open_instance
from pipeline.jobs import WITHDRAWAL
from pipeline.run import Step, run_steps
from pipeline.settings import Settings
from pipeline.storage import Storage
from pipeline.tables import TableError
from pipeline.withdrawal import tombstones
from pipeline.withdrawal.finding import Found
from pipeline.withdrawal.plan import Plan
from pipeline.withdrawal.planning import make_plan
from pipeline.withdrawal.tombstones import Look, Request

_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Asked:
    """What a person wants to withdraw, as given on the command line."""

    posts: Sequence[str] = ()
    authors: Sequence[str] = ()
    images: Sequence[str] = ()
    server: str | None = None
    reason: str = ""


def withdraw(settings: Settings, asked: Asked, console: Console, *, now: bool) -> int:
    """Write tombstones and say what leaves; with ``now`` remove it at once, else the next run does.

    Returns:
        The exit code: 0; 1 when it could not be removed to the end, which the next run goes on with.

    Raises:
        TableError: nothing was named, or something that cannot be one; nothing is written then.
        CrawlError: the key is missing, or is not the one of earlier withdrawals.
    """
    storage = Storage(settings.data.location)
    key = key_from_env(os.environ)
    request = Request.new(_reason(asked.reason), datetime.now(UTC))
    posts, authors, images, looks = *_named(asked, key), _looks(asked.images)
    with tombstones.writing(storage):
        known = tombstones.withdrawn(settings, storage)
        rows = [
            *tombstones.rows_for(key, request, "post", posts, known),
            *tombstones.rows_for(key, request, "author", authors, known),
            *tombstones.rows_for(key, request, "image", images, known),
            *tombstones.look_rows(key, request, looks, known),
        ]
        tombstones.add(storage, rows)
    planned = make_plan(settings, storage)
    _say(settings, storage, planned.plan, planned.found, console)
    if not rows:
        console.print("All of this was withdrawn before.")
    else:
        console.print(f"Noted as request {request.request}: it is not crawled any more, in whatever copy.")
    if not now:
        if planned.plan or tombstones.pending(storage):
            console.print("The next `stylegraph run`, or the automation, removes it; `--now` does so at once.")
        return 0
    return _carry_out(settings, console)


def _reason(text: str) -> str:
    reason = " ".join(text.split())
    if not reason:
        raise TableError("--reason: say why, in a few words that name nobody")
    return reason


def _named(asked: Asked, key: bytes) -> tuple[list[str], list[str], list[str]]:
    """Return post_ids, keyed hashes of authors and image_ids.

    Raises:
        TableError: something cannot be what it is said to be.
    """
    if not (asked.posts or asked.authors or asked.images):
        raise TableError("say what to withdraw: --post ID, --author HANDLE with --server, or --image SHA256_OR_FILE")
    for post in asked.posts:
        if ":" not in post:
            raise TableError(f"--post {post}: a post's id is network:id, as `stylegraph where` tells it of an address")
    authors = []
    for author in asked.authors:
        if _HEX.fullmatch(author):
            authors.append(author)
        elif asked.server is None and "@" not in author.strip().removeprefix("@"):
            raise TableError(
                f"--author {author}: say with --server where that name is known: a host, or archive:NAME of a source"
            )
        else:
            authors.append(author_hmac(author, _home(asked.server or ""), key))
    return list(asked.posts), authors, [_image_id(image) for image in asked.images]


def _home(server: str) -> str:
    """Return a server as handles are hashed with it: its host alone; archive:NAME as it is."""
    host = server.strip().removeprefix("https://").removeprefix("http://").partition("/")[0]
    return host if host.startswith("archive:") else without_port(host)


def _image_id(image: str) -> str:
    if _HEX.fullmatch(image.strip().lower()):
        return image.strip().lower()
    path = Path(image)
    if not path.is_file():
        raise TableError(f"--image {image}: neither a file nor an image id (64 of 0-9 and a-f)")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _looks(images: Sequence[str]) -> list[Look]:
    """Return the perceptual hashes of pictures that were given as files."""
    looks = []
    for image in images:
        if _HEX.fullmatch(image.strip().lower()):
            continue
        hashes = hash_image(Path(image))
        if isinstance(hashes, HashFailure):
            raise TableError(f"--image {image}: no picture ({hashes.detail})")
        if not hashes.flat:  # a uniform picture looks like every other one
            looks.append(Look(hashes.phash256, hashes.trim_phash256))
    return looks


def _say(settings: Settings, storage: Storage, plan: Plan, found: Found, console: Console) -> None:
    if not plan:
        console.print(
            "Nothing of it is kept at present. If that is a surprise, look whether id, handle and server are spelled "
            "as the network spells them.",
            soft_wrap=True,
        )
        return
    near = len(found.near)
    console.print(
        f"{len(plan.posts)} posts and {len(plan.images)} pictures leave"
        + (f", {near} of the pictures because they are near-duplicates of the others" if near else "")
        + "."
    )
    table = Table("table", "rows that go or change", box=None, header_style="bold")
    by_table: dict[str, int] = {}
    for title, rows in plan.tables.items():
        if not title.endswith(".parquet"):
            name = title.partition("/")[0]
            by_table[name] = by_table.get(name, 0) + rows
    for name, rows in sorted(by_table.items()):
        table.add_row(name, str(rows))
    console.print(table)
    if settings.label_studio is not None and plan.tasks:
        console.print(f"{len(plan.tasks)} tasks in Label Studio leave, with their answers and drafts.")
    _say_models(storage, plan, console)
    _say_people_files(settings, console)


def _say_models(storage: Storage, plan: Plan, console: Console) -> None:
    """Name the models that learned from it: they stay, since weights cannot forget."""
    for folder, number in sorted(plan.models.items()):
        _, label_set, version, *_ = folder.split("/")
        what, until = "the model", "the next training replaces it"
        if folder.startswith(CHAMPIONS):
            now = champion_version(storage, label_set) == version
            what, until = "the champion" if now else "a former champion", "it is removed by hand"
            until = "another one is promoted" if now else until
        line = f"{what} {folder} learned from {number} withdrawn pictures: its card says so. It stays until {until}."
        console.print(line, markup=False, soft_wrap=True)


def _say_people_files(settings: Settings, console: Console) -> None:
    """Name the files that belong to people: they are read, never written."""
    archives = [source for source in settings.sources.values() if isinstance(source, ArchiveSource)]
    files = [file for source in archives for file in (source.folder, source.posts)]
    for file in filter(None, [*files, getattr(settings.labels, "path", None)]):
        console.print(
            f"{file} is yours and stays as it is: take it out there by hand. What it says of withdrawn pictures is "
            "passed over.",
            markup=False,
            soft_wrap=True,
        )


def _carry_out(settings: Settings, console: Console) -> int:
    step = Step("withdrawals", WITHDRAWAL, "Withdrawals")
    with open_instance(settings) as instance:
        (outcome,) = run_steps([step], build_definitions(settings), instance)
    if outcome.failure:
        console.print(f"Not removed to the end: {outcome.failure}", markup=False, soft_wrap=True)
        console.print("What is left is noted, and the next run goes on with it.")
        return 1
    console.print(f"Removed, in {outcome.seconds:.0f} s. A check found nothing of it in any table, file or database.")
    console.print("`stylegraph run` makes anew what was made of it.")
    return 0
