"""Records of the AT Protocol: what a post, a profile and an identity document say, whoever wrote them.

People are known by their DID and their handle. Neither may get into a table or a line for people, so posts are named
by a keyed hash of the DID and their record key, and lines by the record key alone.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from crawlers.identity import author_hmac
from crawlers.networks.base import MalformedAnswerError, clean_text, needed_text, texts, utc_time
from crawlers.opt_outs import profile_opt_out, tag_opt_out
from crawlers.posts import MediaItem, Post
from crawlers.sources import checked_server, fold_hashtags, server_name

POSTS = "app.bsky.feed.post"
REPOST = "app.bsky.feed.repost"
_DID = re.compile(r"did:[a-z]+:[A-Za-z0-9._:%-]{0,240}[A-Za-z0-9._-]")
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}", re.IGNORECASE)
_RECORD_KEY = re.compile(r"[A-Za-z0-9._:~-]{1,512}")
_CID = re.compile(r"[A-Za-z0-9]{8,128}")
_BLOB_CID = re.compile(r"b[a-z2-7]{58}")
_BLOB_PREFIX = bytes((0x01, 0x55, 0x12, 0x20))  # CID version 1, raw bytes, a multihash of sha2-256, 32 bytes long
_LONGEST_ADDRESS = 500
_SENSITIVE = frozenset(
    {"!warn", "porn", "sexual", "nudity", "sexual-figurative", "graphic-media", "gore", "nsfl", "corpse", "self-harm"}
)
_HIDDEN = frozenset({"!no-unauthenticated", "!hide", "!takedown"})

_RECORD_PARTS = ("$type", "createdAt", "facets", "tags", "langs", "labels", "embed")
_GONE = frozenset(
    {
        "RepoNotFound",
        "RepoDeactivated",
        "RepoSuspended",
        "RepoTakendown",
        "AccountNotFound",
        "AccountDeactivated",
        "AccountSuspended",
        "AccountTakedown",
    }
)


@dataclass(frozen=True)
class Home:
    """What the posts of a source share: its name, the base address of its server, and the key for authors."""

    source: str
    server: str
    key: bytes

    def author(self, did: str) -> str:
        """Hash a DID, the same way in every mode."""
        return author_hmac(did, "bluesky", self.key)


def is_did(value: Any) -> bool:
    """Say whether a value is a DID that is short enough to be one of a person."""
    return isinstance(value, str) and _DID.fullmatch(value) is not None


def is_handle(value: str) -> bool:
    """Say whether a text is a handle, which is a host name."""
    return len(value) <= 253 and _HOST.fullmatch(value) is not None


def checked_accounts(names: tuple[str, ...]) -> tuple[str, ...]:
    """Check the handles and DIDs of a source's settings; a handle loses its ``@``."""
    folded = tuple(name if name.startswith("did:") else name.removeprefix("@").casefold() for name in names)
    for name in folded:
        usable = is_did(name) and document_address(name, "") if name.startswith("did:") else is_handle(name)
        if not usable:
            raise ValueError(f"{name!r} is no account; write it like name.example.social or did:plc:...")
    if len(set(folded)) < len(folded):
        raise ValueError("an account is named twice; remove one of them")
    return folded


def document_address(did: str, plc_directory: str) -> str | None:
    """Return where the document of a DID is; None for a DID of a kind that the network does not have."""
    method, _, name = did.removeprefix("did:").partition(":")
    if method == "plc" and name.isalnum():
        return f"{plc_directory}/{did}"
    return f"https://{name}/.well-known/did.json" if method == "web" and is_handle(name) else None


def account_server(document: Any, did: str) -> str | None:
    """Return the base address of the server that holds the account of a DID, or None if its document names none."""
    if not isinstance(document, dict) or document.get("id") != did:
        return None
    for service in _dicts(document.get("service")):
        address = clean_text(service.get("serviceEndpoint"))
        if (
            service.get("id") in ("#atproto_pds", f"{did}#atproto_pds")
            and service.get("type") == "AtprotoPersonalDataServer"
            and address is not None
            and len(address) <= _LONGEST_ADDRESS
        ):
            try:
                return checked_server(address)
            except ValueError:
                return None
    return None


def opted_out(profile: Mapping[str, Any]) -> bool:
    """Say whether the record of a profile asks to be left out."""
    text = clean_text(profile.get("description")) or ""
    return "!no-unauthenticated" in set(_labels(profile)) or profile_opt_out(text) is not None


@dataclass(frozen=True)
class RecordAddress:
    """An ``at://`` address: of which repository, in which collection, under which key."""

    did: str
    collection: str
    key: str

    def __str__(self) -> str:
        return f"at://{self.did}/{self.collection}/{self.key}"


def record_address(entry: Any) -> RecordAddress:
    """Read the address of a record that carries one.

    Raises:
        MalformedAnswerError: if there is none; the message does not repeat it.
    """
    parts = needed_text(entry, "uri", "record").removeprefix("at://").split("/")
    if len(parts) != 3 or not is_did(parts[0]) or not _RECORD_KEY.fullmatch(parts[2]):
        raise MalformedAnswerError("record has no usable uri")
    if parts[1] not in (POSTS, REPOST):
        raise MalformedAnswerError("record is not a post")
    return RecordAddress(*parts)


def read_post(view: Mapping[str, Any], home: Home, blobs_at: str) -> Post:
    """Read a post as a search shows it, or one that a repository lists if it is given in that form.

    Args:
        view: ``uri``, ``record`` and, from a search, ``author``, ``labels`` and ``reason``.
        home: what the posts of the source share.
        blobs_at: base address of the server that the author's pictures are fetched from.

    Raises:
        MalformedAnswerError: if it has no address, record or date.
    """
    address = record_address(view)
    author = home.author(address.did)
    key = _shown_key(address.key, home)
    place, record = f"post {key[:40]}", view.get("record")
    if not isinstance(record, dict):
        raise MalformedAnswerError(f"{place} has no record")
    try:
        created_at = utc_time(needed_text(record, "createdAt", place), place)
    except MalformedAnswerError:  # the date is not repeated: it may be any text
        raise MalformedAnswerError(f"{place} has no usable createdAt") from None
    hashtags = fold_hashtags([*_facet_tags(record), *texts(record.get("tags"))])
    labels = {*_labels(record), *_labels(view)}
    hidden = sorted(_HIDDEN.intersection({*labels, *_labels(view.get("author"))}))
    reason = view.get("reason")
    # a repost in a feed has the address of what it shows, which may come on its own, too
    shown = isinstance(reason, dict) and reason.get("$type") == "app.bsky.feed.defs#reasonRepost"
    return Post(
        post_id=f"bluesky:{author[:16]}/{key}" + ("/repost" if shown else ""),
        network="bluesky",
        source=home.source,
        server=server_name(home.server),
        url=None,  # every address of a post names its author
        created_at=created_at,
        author_hmac=author,
        hashtags=hashtags,
        media=tuple(_media(record.get("embed"), address.did, home.server, blobs_at)),
        language=next(iter(texts(record.get("langs"))), None),
        sensitive=not _SENSITIVE.isdisjoint(labels),
        boost=shown or REPOST in (address.collection, record.get("$type")),
        opt_out=f"label: {hidden[0]}" if hidden else tag_opt_out(hashtags),
        identity=hashlib.sha256(f"{address}{'/repost' if shown else ''}".encode()).hexdigest(),
    )


def entries_of(answer: Any, name: str) -> list[Any]:
    """Return the list that an answer holds.

    Raises:
        MalformedAnswerError: if it has none.
    """
    entries = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(entries, list):
        raise MalformedAnswerError(f"a list of {name} was expected")
    return entries


def what_is_missing(answer: Any) -> str | None:
    """Read an error of a server that holds accounts: the ``account`` is not there, or only the ``record``, or neither.

    Before the errors had names, and in some places still, only the message of an InvalidRequest tells.
    """
    if not isinstance(answer, dict):
        return None
    error, message = (clean_text(answer.get(name)) or "" for name in ("error", "message"))
    unnamed = message if error == "InvalidRequest" else ""
    if error in _GONE or unnamed.startswith("Could not find repo"):
        return "account"
    return "record" if error == "RecordNotFound" or unnamed.startswith("Could not locate record") else None


def trimmed_view(entry: Any) -> dict[str, Any]:
    """Take from a post of a search, or of a feed, what is needed of it: it may have to wait in the crawl's journal."""
    feed = entry if isinstance(entry, dict) else {}
    inner = feed.get("post")
    post = inner if isinstance(inner, dict) else feed
    view: dict[str, Any] = {"uri": post.get("uri"), "labels": post.get("labels"), "reason": feed.get("reason")}
    for part, names in (("author", ("did", "labels")), ("record", _RECORD_PARTS)):
        whole = post.get(part)
        view[part] = {name: whole[name] for name in names if name in whole} if isinstance(whole, dict) else {}
    return view


def read_accounts(entries: list[Any], home: Home) -> tuple[dict[str, tuple[str, bool]], list[str]]:
    """Read a list of repositories: hash -> DID and whether it is active, and a line for each entry that is none."""
    accounts: dict[str, tuple[str, bool]] = {}
    malformed: list[str] = []
    for entry in entries:
        did = entry.get("did") if isinstance(entry, dict) else None
        if isinstance(did, str) and is_did(did):
            accounts.setdefault(home.author(did), (did, entry.get("active") is not False))
        else:
            malformed.append("repository has no usable did")
    return accounts, malformed


def read_listing(entries: list[Any], did: str, home: Home, blobs_at: str) -> tuple[list[Post], list[str]]:
    """Read the records that a repository lists: its posts, and a line for each entry that is none."""
    posts: list[Post] = []
    malformed: list[str] = []
    for entry in entries:
        try:
            if record_address(entry).did != did:
                raise MalformedAnswerError("record belongs to another repository")
            posts.append(read_post({"uri": entry["uri"], "record": entry.get("value")}, home, blobs_at))
        except MalformedAnswerError as error:
            malformed.append(str(error))
    return posts, malformed


def blob_sha256(cid: str) -> str | None:
    """Return the hex sha256 that the CID of a blob holds, or None if it is a CID of another form."""
    if not _BLOB_CID.fullmatch(cid):
        return None
    try:
        content = base64.b32decode(f"{cid[1:].upper()}======")
    except binascii.Error:
        return None
    written = "b" + base64.b32encode(content).decode().rstrip("=").lower()
    if written != cid or not content.startswith(_BLOB_PREFIX) or len(content) != 36:
        return None
    return content[4:].hex()


def _shown_key(key: str, home: Home) -> str:
    """Return a record key; one in which a handle or a DID could stand is hashed. Keys of posts are times as a rule."""
    return author_hmac(key, "record keys of bluesky", home.key)[:32] if "." in key or ":" in key else key


def _media(embed: Any, did: str, server: str, blobs_at: str) -> Iterator[MediaItem]:
    """Name the pictures of a post: up to four as ``images``, more as ``gallery``, either of them beside a quote."""
    if isinstance(embed, dict) and embed.get("$type") == "app.bsky.embed.recordWithMedia":
        embed = embed.get("media")
    if not isinstance(embed, dict):
        return
    names = {"app.bsky.embed.images": "images", "app.bsky.embed.gallery": "items"}
    kind = embed.get("$type")
    found = 0
    for image in _dicts(embed.get(names.get(kind, "")) if isinstance(kind, str) else None):
        cid = _blob_cid(image.get("image"))
        if cid is not None:
            method = "xrpc/com.atproto.sync.getBlob"
            fetch_url = f"{blobs_at}/{method}?did={quote(did, safe=':')}&cid={cid}"
            url = f"{server}/{method}?cid={cid}"
            yield MediaItem(found, url, clean_text(image.get("alt")), fetch_url, blob_sha256(cid))
            found += 1


def _blob_cid(blob: Any) -> str | None:
    """Return the CID of a blob, of the form that records of the first year have, too."""
    if not isinstance(blob, dict):
        return None
    link = blob.get("ref")
    cid = link.get("$link") if isinstance(link, dict) else blob.get("cid")
    return cid if isinstance(cid, str) and _CID.fullmatch(cid) else None


def _facet_tags(record: Mapping[str, Any]) -> Iterator[str]:
    for facet in _dicts(record.get("facets")):
        for feature in _dicts(facet.get("features")):
            tag = clean_text(feature.get("tag"))
            if tag is not None and feature.get("$type") == "app.bsky.richtext.facet#tag":
                yield tag


def _labels(subject: Any) -> Iterator[str]:
    """Name the labels of a record, which its author set, or of a view, where ``neg`` takes one back."""
    labels = subject.get("labels") if isinstance(subject, dict) else None
    for label in _dicts(labels.get("values") if isinstance(labels, dict) else labels):
        value = clean_text(label.get("val"))
        if value is not None and label.get("neg") is not True:
            yield value


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
