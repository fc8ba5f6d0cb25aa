"""Group-safe splits that do not change, whatever arrives or leaves.

A group holds what must never stand in two splits: the images of one author, and images that look alike (a pair that
near-duplicate removal found, set-aside images of a cluster included). Windows are taken in order. An image of a new
window joins the groups it is linked to and takes over their split; a new group gets its own. So what has a split keeps
it for ever, and when a new image links groups of different splits, that image is left out (``bridging``): nobody
changes sides and nothing alike stands on both.

A new group's split follows from a hash of the image that founds it, as long as that split has room: where it is full,
which happens with few images or with large groups, the split that lacks most takes the group.

All of this is computed anew each time, so on its own a founder that leaves, or an old window that arrives late, would
move groups. Therefore the splits that images had in earlier data sets are given, and come before all windows: an image
that had a split has it again, or is left out, and its group follows. Where two images of different earlier splits turn
out to be alike, or of one author, those in the way are left out.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pandas as pd

from modeling.settings import SplitSettings

SPLITS = ("train", "validation", "test")

_SLACK = 0.02  # a split may pass its target by this share of it, and by half an image, before it counts as full


@dataclass(frozen=True)
class _Image:
    image_id: str
    window: str
    canonical: str  # itself when kept
    author: str | None  # null for images set aside: a repost does not tie two authors together

    @property
    def kept(self) -> bool:
        return self.canonical == self.image_id


@dataclass
class _Groups:
    """Groups with a split so far. A group's key is the image that founded it; merged groups keep the oldest key."""

    split: dict[str, str] = field(default_factory=dict)  # group key -> split
    age: dict[str, int] = field(default_factory=dict)  # group key -> position of its founding
    group: dict[str, str] = field(default_factory=dict)  # image -> group key, followed through merged
    merged: dict[str, str] = field(default_factory=dict)  # group key -> the key that took it over
    author: dict[str, str] = field(default_factory=dict)  # author -> an image of theirs that has a group
    left_out: set[str] = field(default_factory=set)
    sizes: Counter[str] = field(default_factory=Counter)  # kept images by split

    def key(self, image_id: str) -> str:
        key = self.group[image_id]
        while key in self.merged:
            key = self.merged[key]
        self.group[image_id] = key  # the next look is short
        return key

    def merge(self, keys: Iterable[str]) -> str:
        oldest, *others = sorted(keys, key=self.age.__getitem__)
        for other in others:
            self.merged[other] = oldest
        return oldest

    def found(self, key: str, split: str) -> None:
        self.age[key] = len(self.age)
        self.split[key] = split

    def names(self, known: Iterable[_Image]) -> dict[str, str]:
        """What each group is called, by key: its first kept image, by window and image_id.

        That does not depend on which of its images had a split before.
        """
        first: dict[str, tuple[str, str]] = {}
        for image in known:
            if image.kept and image.image_id in self.group:
                key, place = self.key(image.image_id), (image.window, image.image_id)
                first[key] = min(first.get(key, place), place)
        return {key: image_id for key, (_, image_id) in first.items()}

    def add(self, images: Iterable[_Image], key: str) -> None:
        for image in images:
            self.group[image.image_id] = key
            if image.author is not None:
                self.author.setdefault(image.author, image.image_id)
            if image.kept:
                self.sizes[self.split[key]] += 1


def assign_splits(
    images: pd.DataFrame, pairs: pd.DataFrame, settings: SplitSettings, earlier: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Group and split of every canonical image.

    ``images`` are UNIQUE_IMAGES rows (image_id, window, canonical_id, best_image_id, author_hmac are used), ``pairs``
    SIMILAR_PAIRS rows (image_a, image_b), ``earlier`` is the split that an image, or a file that stood for one, had
    before, by image_id. Returns one row a canonical image, sorted by image_id: image_id, file_id (the file to use: the
    cluster's best one, unless that one bridges), group_id, split, reason. ``split`` and ``group_id`` are null where
    ``reason`` says why the image is left out: bridging. The order of the rows makes no difference.
    """
    groups = _Groups()
    known = _known_images(images)
    links = _links(pairs, known)
    _place_earlier({name: split for name, split in (earlier or {}).items() if name in known}, known, links, groups)
    windows: dict[str, list[_Image]] = {}
    for image in known.values():
        if image.image_id not in groups.group and image.image_id not in groups.left_out:
            windows.setdefault(image.window, []).append(image)
    for window in sorted(windows):
        _place_window(windows[window], links, groups, settings)
    best = dict(zip(images["image_id"], images["best_image_id"], strict=True))
    names = groups.names(known.values())
    rows = []
    for image in known.values():
        if not image.kept:
            continue
        out = image.image_id in groups.left_out
        key = None if out else groups.key(image.image_id)
        file = image.image_id if best[image.image_id] in groups.left_out else best[image.image_id]
        split, name = (None, None) if key is None else (groups.split[key], names[key])
        rows.append((image.image_id, file, name, split, "bridging" if out else None))
    return pd.DataFrame(rows, columns=["image_id", "file_id", "group_id", "split", "reason"], dtype=object)


def _known_images(images: pd.DataFrame) -> dict[str, _Image]:
    """Images by id, in order of id. An image set aside counts as seen when its canonical image is."""
    window: dict[str, str] = dict(zip(images["image_id"], images["window"], strict=True))
    columns = [images[name] for name in ("image_id", "canonical_id", "author_hmac")]
    known = {}
    for image_id, canonical, author in sorted(zip(*columns, strict=True), key=lambda row: str(row[0])):
        if canonical in window:
            by = author if canonical == image_id and isinstance(author, str) else None
            known[image_id] = _Image(image_id, max(window[image_id], window[canonical]), canonical, by)
    return known


def _links(pairs: pd.DataFrame, known: Mapping[str, _Image]) -> dict[str, list[str]]:
    """Images that look alike, by image: the pairs, and each image set aside with its canonical image.

    Pairs of the band ``distinct`` do not look alike: they are listed to show how near others come.
    """
    if "band" in pairs.columns:
        pairs = pairs[pairs["band"] != "distinct"]
    edges = [(a, b) for a, b in zip(pairs["image_a"], pairs["image_b"], strict=True) if a in known and b in known]
    edges += [(i.image_id, i.canonical) for i in known.values() if not i.kept]
    links: dict[str, set[str]] = {image_id: set() for image_id in known}
    for a, b in edges:
        links[a].add(b)
        links[b].add(a)
    return {image_id: sorted(others) for image_id, others in links.items()}


def _place_earlier(
    earlier: Mapping[str, str], known: Mapping[str, _Image], links: Mapping[str, list[str]], groups: _Groups
) -> None:
    """Give the images that had a split that one again, or leave them out."""
    groups.left_out |= _in_the_way(earlier, known, links)
    images = {name: known[name] for name in earlier if name not in groups.left_out}
    for component in _components(images, links):
        groups.found(component[0], earlier[component[0]])
        groups.add((images[name] for name in component), component[0])


def _in_the_way(earlier: Mapping[str, str], known: Mapping[str, _Image], links: Mapping[str, list[str]]) -> set[str]:
    """Images to leave out so that no two of different earlier splits are alike or of one author.

    Of an author the split with most images stays. Of two that are alike, the one that is like fewer images of other
    splits stays. Equal ones: an image of the test split stays first, then one of validation.
    """
    authors: dict[str, Counter[str]] = {}
    for name, split in earlier.items():
        if (author := known[name].author) is not None:
            authors.setdefault(author, Counter())[split] += 1
    stays = {by: max(counts, key=lambda split: (counts[split], SPLITS.index(split))) for by, counts in authors.items()}
    out = {name for name, split in earlier.items() if stays.get(known[name].author or "", split) != split}

    def against(name: str) -> int:
        split = earlier[name]
        return sum(earlier.get(other, split) != split for other in links[name] if other not in out)

    conflicts = {name: count for name in earlier if name not in out and (count := against(name))}
    for name in sorted(conflicts, key=lambda name: (-conflicts[name], SPLITS.index(earlier[name]), name)):
        if against(name):
            out.add(name)
    return out


def _place_window(new: list[_Image], links: Mapping[str, list[str]], groups: _Groups, settings: SplitSettings) -> None:
    """Give every new image of one window its group, or leave it out."""
    images = {image.image_id: image for image in new if image.canonical not in groups.left_out}
    groups.left_out.update(image.image_id for image in new if image.image_id not in images)
    touched = {image_id: _touched(image, links, groups) for image_id, image in images.items()}
    out: set[str] = set()
    for component in _components(images, links):
        out |= _bridging(component, touched, groups)
    out |= {image.image_id for image in images.values() if image.canonical in out}
    groups.left_out |= out
    rest = {image_id: image for image_id, image in images.items() if image_id not in out}
    founding = []
    for component in _components(rest, links):
        keys = {key for image_id in component for key in touched[image_id]}
        if keys:
            groups.add((rest[image_id] for image_id in component), groups.merge(sorted(keys)))
        else:
            founding.append([rest[image_id] for image_id in component])
    _found_groups(founding, groups, settings)


def _touched(image: _Image, links: Mapping[str, list[str]], groups: _Groups) -> set[str]:
    """Keys of the groups with a split that an image is linked to."""
    keys = {groups.key(other) for other in links[image.image_id] if other in groups.group}
    if image.author is not None and image.author in groups.author:
        keys.add(groups.key(groups.author[image.author]))
    return keys


def _components(images: Mapping[str, _Image], links: Mapping[str, list[str]]) -> list[list[str]]:
    """Connected components among these images by likeness and author, each sorted, sorted by their first image."""
    by_author: dict[str, list[str]] = {}
    for image in images.values():
        if image.author is not None:
            by_author.setdefault(image.author, []).append(image.image_id)
    components = []
    seen: set[str] = set()
    for start in sorted(images):
        if start in seen:
            continue
        seen.add(start)
        component = [start]
        for image_id in component:  # grows while it is walked
            author = images[image_id].author
            near = [*links[image_id], *(by_author.pop(author, []) if author is not None else [])]
            fresh = [other for other in near if other in images and other not in seen]
            fresh = list(dict.fromkeys(fresh))
            seen.update(fresh)
            component.extend(fresh)
        components.append(sorted(component))
    return components


def _bridging(component: list[str], touched: Mapping[str, set[str]], groups: _Groups) -> set[str]:
    """Images to leave out of a component so that what remains touches groups of one split only.

    The split that most images touch stays; equal ones in the order train, validation, test.
    """
    splits = {image_id: {groups.split[key] for key in touched[image_id]} for image_id in component}
    all_touched = set().union(*splits.values())
    if len(all_touched) < 2:
        return set()
    votes = Counter(split for touching in splits.values() if len(touching) == 1 for split in touching)
    winner = max(SPLITS, key=lambda split: (split in all_touched, votes[split], -SPLITS.index(split)))
    return {image_id for image_id, touching in splits.items() if touching - {winner}}


def _found_groups(founding: list[list[_Image]], groups: _Groups, settings: SplitSettings) -> None:
    """Give new groups their split: large ones first, then in the order of their hash."""
    weighed = []
    for images in founding:
        key = min(image.image_id for image in images if image.kept)
        weighed.append((-sum(image.kept for image in images), _fraction(key, settings.salt), key, images))
    total = groups.sizes.total() - sum(size for size, *_ in weighed)
    for size, fraction, key, images in sorted(weighed, key=lambda entry: entry[:3]):
        groups.found(key, _choose_split(fraction, -size, total, groups.sizes, settings.shares))
        groups.add(images, key)


def _choose_split(fraction: float, size: int, total: int, sizes: Mapping[str, int], shares: Mapping[str, float]) -> str:
    """The split of a group's hash fraction where it has room, else the one with room that lacks most, else the one
    that lacks most images. ``total`` counts all images that have a split once this window is placed."""
    room = {split: shares[split] * total * (1 + _SLACK) + 0.5 - sizes.get(split, 0) for split in SPLITS}
    preferred = next(
        (split for split, end in zip(SPLITS, _cumulated(shares), strict=True) if fraction < end), SPLITS[-1]
    )
    if room[preferred] >= size:
        return preferred
    fitting = [split for split in SPLITS if room[split] >= size]
    if fitting:
        return max(fitting, key=lambda split: room[split] / shares[split])
    return max(SPLITS, key=lambda split: room[split])


def _cumulated(shares: Mapping[str, float]) -> list[float]:
    return [sum(shares[split] for split in SPLITS[: index + 1]) for index in range(len(SPLITS))]


def _fraction(key: str, salt: str) -> float:
    """A number in [0, 1) from the hash of a group's key."""
    digest = hashlib.sha256(f"{salt}:{key}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56
