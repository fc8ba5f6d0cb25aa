"""The reference AT Protocol server from npm: installation, a server on 127.0.0.1, and a client that plants data.

What @atproto/pds 0.5.35 answers. An error is JSON of the form {"error": NAME, "message": TEXT}.

robots.txt
    The text of ROBOTS, as text/plain.

com.atproto.sync.listRepos
    Gives did, head, rev, active, and for an account that is not active also status: "deactivated" or "takendown".
    Those accounts stay listed. Order: date of creation, oldest first. limit is at most 1000; more is 400
    InvalidRequest, and so is a cursor of another form. Every page with accounts has a cursor ("MILLISECONDS::DID"),
    the last one too; the page after it is {"repos": []} without a cursor.

com.atproto.repo.listRecords
    limit is 1 to 100, 50 if not given; others are 400 InvalidRequest. Order: record keys from high to low, from low
    to high with reverse=true. Keys that the server makes grow with the time of writing; createdAt plays no part.
    The cursor is the last key of the page, and every page with records has one, the last one too; the page after
    it, like that of an account without posts, is {"records": []} without a cursor. It answers 400 InvalidRequest
    "Could not find repo: DID" for an account that is unknown, deactivated or taken down. Any text is taken as a
    cursor. Answers of 1 kB or more are compressed with brotli, gzip or deflate, whichever is accepted.

com.atproto.repo.getRecord
    A record that is missing, such as a profile nobody wrote: 400 RecordNotFound. An account that is unknown,
    deactivated or taken down: 400 InvalidRequest "Could not locate record".

com.atproto.sync.getBlob
    Content-Type is the type the blob was stored with, whatever the bytes are; Content-Length;
    X-Content-Type-Options: nosniff; Content-Disposition: attachment; filename="CID"; Content-Security-Policy:
    default-src 'none'; sandbox; Cache-Control: private. Never compressed, no ETag; Range is ignored. A blob that is
    unknown, of another account, named by no record, taken down, or without its file: 400 InvalidRequest "Blob not
    found". An account that is unknown, deactivated or taken down: 400 RepoNotFound, RepoDeactivated, RepoTakendown.
    There is no 404.

Rate limits
    Where they are on, answers carry RateLimit-Limit (requests), RateLimit-Remaining, RateLimit-Reset (UNIX time in
    whole seconds, rounded down) and RateLimit-Policy ("3000;w=300": requests; seconds). Too many requests are 429
    RateLimitExceeded, with Retry-After in whole seconds, rounded up. Requests whose parameters are refused do not
    count and carry no such header, nor do robots.txt and requests with the bypass key. All of one address's
    requests share a limit.

Writing
    With validate=False createdAt may be any text, or none. Blobs may be empty or broken, up to 5 MiB; uploadBlob
    replaces the type it is given where it knows the first bytes. A record that names a blob nobody uploaded to that
    account is 400 BlobNotFound. A second record of the same key is 500 InternalServerError. An account's DID
    document names the server as http://127.0.0.1:PORT.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import re
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import httpx

SOURCES = Path(__file__).parent / "atproto"
INSTALLED = Path(__file__).parents[2] / ".cache" / "atproto"
PINS = ("package.json", "package-lock.json")
INSTALL_SECONDS = 900
START_SECONDS = 60
ADMIN_PASSWORD = "admin-of-a-test-server"
BYPASS_KEY = "planting-is-not-limited"
PASSWORD = "password-of-a-test-account"
ROBOTS = "# Hello!\n\n# Crawling the public API is allowed\nUser-agent: *\nAllow: /"


class InstallError(RuntimeError):
    """The server could not be installed; the message ends with what the tools printed."""


def installed() -> Path:
    """Install the pinned packages into .cache/atproto unless they are there, and return that folder.

    Packages go into a folder beside it, which is renamed when everything is built and has run once; a killed
    installation leaves nothing that counts as installed. One process installs while others wait. This needs npm 9 or
    later, make and a C++ compiler; it takes 1 to 2 minutes and 560 MB.
    """
    INSTALLED.parent.mkdir(exist_ok=True)
    with INSTALLED.with_name("atproto.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_current(INSTALLED):
            fresh = INSTALLED.with_name("atproto.new")
            shutil.rmtree(fresh, ignore_errors=True)
            _install_into(fresh, lock)
            shutil.rmtree(INSTALLED, ignore_errors=True)
            fresh.rename(INSTALLED)
    return INSTALLED


def node(install: Path) -> Path:
    """Return the Node 22 that was installed with the server."""
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return install / "node_modules" / f"node-linux-{machine}" / "bin" / "node"


def _is_current(install: Path) -> bool:
    pins = [(install / name, SOURCES / name) for name in PINS]
    return all(ours.is_file() and ours.read_bytes() == theirs.read_bytes() for ours, theirs in pins)


def _install_into(folder: Path, lock: IO[str]) -> None:
    missing = [tool for tool in ("npm", "make", "g++") if shutil.which(tool) is None]
    if missing:
        raise InstallError(f"not found: {', '.join(missing)} (Debian: apt-get install nodejs npm make g++)")
    folder.mkdir()
    for name in PINS:
        shutil.copyfile(SOURCES / name, folder / name)
    _run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], folder, lock)
    own_node = node(folder)
    gyp = folder / "node_modules" / "node-gyp" / "bin" / "node-gyp.js"
    headers = own_node.parents[1]
    build = [f"--nodedir={headers}", f"--python={sys.executable}", "--loglevel=error"]
    sqlite = folder / "node_modules" / "better-sqlite3"
    _run([str(own_node), str(gyp), "rebuild", "--release", *build], sqlite, lock)
    _run([str(own_node), "-e", "new (require('better-sqlite3'))(':memory:')"], folder, lock)


def _run(command: list[str], folder: Path, lock: IO[str]) -> None:
    """Run an installation step. It inherits the lock: nobody else installs while it outlives a killed caller."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "JOBS": "2", "CFLAGS": "-w", "CXXFLAGS": "-w"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=INSTALL_SECONDS,
        pass_fds=(lock.fileno(),),
    )
    if done.returncode:
        raise InstallError(f"{' '.join(command[:3])}: status {done.returncode}\n{done.stdout[-4000:]}")


@dataclass(frozen=True)
class RateLimit:
    """How many requests one address may make in how many seconds; the server's own values are the defaults."""

    points: int = 3000
    seconds: int = 300


@dataclass(frozen=True)
class Account:
    """An account, with the token that its own requests carry."""

    did: str
    handle: str
    token: str = field(repr=False)


@dataclass(frozen=True)
class Record:
    """Where a record is (at://DID/COLLECTION/RKEY) and the CID of its content."""

    uri: str
    cid: str

    @property
    def rkey(self) -> str:
        return self.uri.rsplit("/", 1)[1]

    @property
    def reference(self) -> dict[str, str]:
        """What other records name this one by (com.atproto.repo.strongRef)."""
        return {"uri": self.uri, "cid": self.cid}


def blob_cid(blob: dict[str, Any]) -> str:
    """Return the CID of a blob as uploadBlob and records give it."""
    cid: str = blob["ref"]["$link"]
    return cid


def self_labels(values: Sequence[str]) -> dict[str, Any]:
    return {"$type": "com.atproto.label.defs#selfLabels", "values": [{"val": value} for value in values]}


def tag_facets(text: str, tags: Sequence[str]) -> list[dict[str, Any]]:
    """Return a facet for each place where "#tag" stands in the text as a whole word; offsets count UTF-8 bytes."""
    facets = []
    for tag in tags:
        places = list(re.finditer(rf"#{re.escape(tag)}(?!\w)", text))
        if not places:
            raise ValueError(f"#{tag} is not in {text!r}")
        for place in places:
            start, end = (len(text[:position].encode()) for position in place.span())
            feature = {"$type": "app.bsky.richtext.facet#tag", "tag": tag}
            facets.append({"index": {"byteStart": start, "byteEnd": end}, "features": [feature]})
    return facets


class AtprotoClient:
    """Plants accounts and records through the server's public interface. Its requests are never limited."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=30, headers={"x-ratelimit-bypass": BYPASS_KEY}, trust_env=False)

    def close(self) -> None:
        self.http.close()

    def call(self, name: str, account: Account | None, body: dict[str, Any] | None) -> Any:
        """Call a procedure with a JSON body, if any, and return the JSON of its answer, or None where it is empty."""
        return _content(self.http.post(f"/xrpc/{name}", json=body, headers=_bearer(account)))

    def create_account(self, name: str) -> Account:
        """Create NAME.test; a name has 3 to 18 letters, digits and hyphens. Many English words are reserved."""
        who = {"handle": f"{name}.test", "email": f"{name}@example.com", "password": PASSWORD}
        made = self.call("com.atproto.server.createAccount", None, who)
        return Account(made["did"], made["handle"], made["accessJwt"])

    def upload_blob(self, account: Account, data: bytes, mime: str) -> dict[str, Any]:
        """Upload a file and return its blob. The server names the type itself where it knows the file's first bytes."""
        headers = {**_bearer(account), "Content-Type": mime}
        answer = self.http.post("/xrpc/com.atproto.repo.uploadBlob", content=data, headers=headers)
        blob: dict[str, Any] = _content(answer)["blob"]
        return blob

    def create_record(
        self, account: Account, collection: str, record: dict[str, Any], rkey: str | None = None, validate: bool = False
    ) -> Record:
        """Write a new record, under a key that the server makes unless one is given."""
        body = {"repo": account.did, "collection": collection, "validate": validate}
        body |= {"record": {"$type": collection} | record} | ({} if rkey is None else {"rkey": rkey})
        made = self.call("com.atproto.repo.createRecord", account, body)
        return Record(made["uri"], made["cid"])

    def create_post(
        self,
        account: Account,
        text: str,
        created_at: str,
        images: Sequence[tuple[dict[str, Any], str]] = (),
        *,
        tags: Sequence[str] = (),
        facet_tags: Sequence[str] = (),
        labels: Sequence[str] = (),
        quote: Record | None = None,
        reply: tuple[Record, Record] | None = None,
        rkey: str | None = None,
        validate: bool = False,
        **more: Any,
    ) -> Record:
        """Publish a post; images are pairs of blob and alt text, reply is (root, parent), more is set in the record."""
        record: dict[str, Any] = {"text": text, "createdAt": created_at}
        if tags:
            record["tags"] = list(tags)
        if facet_tags:
            record["facets"] = tag_facets(text, facet_tags)
        if labels:
            record["labels"] = self_labels(labels)
        if reply is not None:
            record["reply"] = {"root": reply[0].reference, "parent": reply[1].reference}
        embed = _embed(images, quote)
        if embed is not None:
            record["embed"] = embed
        return self.create_record(account, "app.bsky.feed.post", record | more, rkey, validate)

    def put_record(self, account: Account, collection: str, rkey: str, record: dict[str, Any]) -> Record:
        """Write a record, in place of the one that is there."""
        body = {"repo": account.did, "collection": collection, "rkey": rkey, "validate": False}
        made = self.call("com.atproto.repo.putRecord", account, body | {"record": {"$type": collection} | record})
        return Record(made["uri"], made["cid"])

    def put_profile(self, account: Account, labels: Sequence[str] = (), **more: Any) -> Record:
        """Write the profile; the label "!no-unauthenticated" asks to be shown to logged-in people only."""
        record = more | ({"labels": self_labels(labels)} if labels else {})
        return self.put_record(account, "app.bsky.actor.profile", "self", record)

    def repost(self, account: Account, subject: Record, created_at: str) -> Record:
        record = {"subject": subject.reference, "createdAt": created_at}
        return self.create_record(account, "app.bsky.feed.repost", record)

    def delete_record(self, account: Account, record: Record) -> None:
        """Delete a record. Blobs that no other record of the account names disappear soon after."""
        collection, rkey = record.uri.split("/")[-2:]
        body = {"repo": account.did, "collection": collection, "rkey": rkey}
        self.call("com.atproto.repo.deleteRecord", account, body)

    def deactivate_account(self, account: Account) -> None:
        """Deactivate an account, as its owner can. Its token still serves to activate it."""
        self.call("com.atproto.server.deactivateAccount", account, {})

    def activate_account(self, account: Account) -> None:
        self.call("com.atproto.server.activateAccount", account, None)

    def take_down_account(self, account: Account, applied: bool = True) -> None:
        """Take an account down as the server's administrator, or undo it."""
        self._take_down({"$type": "com.atproto.admin.defs#repoRef", "did": account.did}, applied)

    def take_down_blob(self, account: Account, cid: str, applied: bool = True) -> None:
        """Take a blob down as the server's administrator, or undo it. Records go on naming it; getBlob answers 400."""
        subject = {"$type": "com.atproto.admin.defs#repoBlobRef", "did": account.did, "cid": cid}
        self._take_down(subject, applied)

    def _take_down(self, subject: dict[str, str], applied: bool) -> None:
        answer = self.http.post(
            "/xrpc/com.atproto.admin.updateSubjectStatus",
            json={"subject": subject, "takedown": {"applied": applied}},
            auth=("admin", ADMIN_PASSWORD),
        )
        _content(answer)


def _bearer(account: Account | None) -> dict[str, str]:
    return {} if account is None else {"Authorization": f"Bearer {account.token}"}


def _content(answer: httpx.Response) -> Any:
    """Return the JSON of an answer; an error carries what the server said."""
    if answer.is_error:
        message = f"{answer.request.url.path}: {answer.status_code} {answer.text[:500]}"
        raise httpx.HTTPStatusError(message, request=answer.request, response=answer)
    return answer.json() if answer.content else None


def _embed(images: Sequence[tuple[dict[str, Any], str]], quote: Record | None) -> dict[str, Any] | None:
    pictures = {
        "$type": "app.bsky.embed.images",
        "images": [{"image": blob, "alt": alt} for blob, alt in images],
    }
    if quote is None:
        return pictures if images else None
    quoted = {"$type": "app.bsky.embed.record", "record": quote.reference}
    return {"$type": "app.bsky.embed.recordWithMedia", "record": quoted, "media": pictures} if images else quoted


@dataclass
class AtprotoServer:
    """A running server: its address, the address of its PLC directory, its folder, and a client that plants data."""

    url: str
    plc_url: str
    folder: Path
    pid: int
    client: AtprotoClient

    def blob_path(self, account: Account, cid: str) -> Path:
        """Return the file of a blob that a record names. Without the file, getBlob answers 400."""
        return self.folder / "data" / "blobs" / account.did / cid

    def delete_blob(self, account: Account, cid: str) -> None:
        """Lose a blob's file; the records that name it stay."""
        self.blob_path(account, cid).unlink()


@contextlib.contextmanager
def start(folder: Path, rate_limit: RateLimit | None = None) -> Iterator[AtprotoServer]:
    """Run a server with its data in a new folder until the block ends; the folder's server.log has its errors.

    The PLC directory is in memory and the keys are new each time, so a folder serves once. No limit unless given.
    """
    install = installed()
    folder.mkdir(parents=True, exist_ok=True)
    options = {
        "install": str(install),
        "data": str(folder / "data"),
        "adminPassword": ADMIN_PASSWORD,
        "bypassKey": BYPASS_KEY,
        "rateLimit": None if rate_limit is None else {"points": rate_limit.points, "seconds": rate_limit.seconds},
    }
    log_path = folder / "server.log"
    environment = {"LOG_ENABLED": "true", "LOG_LEVEL": "error", "LOG_DESTINATION": str(log_path)}
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            [str(node(install)), str(SOURCES / "server.mjs"), json.dumps(options)],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    with contextlib.ExitStack() as stack:
        stack.callback(_stop, process)
        places = _ready(process, log_path)
        client = AtprotoClient(places["pds"])
        stack.callback(client.close)
        yield AtprotoServer(places["pds"], places["plc"], folder, process.pid, client)


def _ready(process: subprocess.Popen[bytes], log: Path) -> dict[str, str]:
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], START_SECONDS)
    line = process.stdout.readline() if readable else b""
    if not line:
        reason = "ended" if readable else f"was not ready in {START_SECONDS} s"
        raise RuntimeError(f"the server {reason}:\n{log.read_text(errors='replace')[-4000:]}")
    places: dict[str, str] = json.loads(line)
    return places


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the server by closing its input; kill it if that does not help."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
