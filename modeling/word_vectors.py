"""Word vectors of the labels: the node features of the label graph.

A label's vector is the mean of the vectors of its parts. Parts come from a written table (``LABEL_PARTS``, which
settings may extend); a label that is not in it stands for its own lower-case words. Vectors come from the table carried
in the project (100-d GloVe) or from any GloVe text file, read as a stream.
"""

import hashlib
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from modeling.errors import ModelingError
from modeling.label_sets import as_frame
from modeling.tables import WORD_VECTORS

CARRIED_TABLE = Path(__file__).parent / "data" / "glove.6B.100d.style.txt"
"""100-d GloVe vectors of the 23 styles, their parts and common garments."""

LABEL_PARTS: dict[str, list[str]] = {
    "Businesscasual": ["business", "casual"],
    "Gothpunkrocker": ["goth", "punk", "rocker"],
    "Kitschkidult": ["kitsch", "kid", "adult"],
    "Hiphop": ["hip-hop"],
    "Manish": ["mannish"],
}
"""Words whose vectors are averaged, for labels that are no word of their own."""

_Vectors: TypeAlias = dict[str, NDArray[np.float64]]


def word_vectors(
    labels: Sequence[str], path: Path | None = None, parts: Mapping[str, Sequence[str]] | None = None
) -> pa.Table:
    """One vector a label, in label order: a WORD_VECTORS table.

    ``path`` is a GloVe text file of any dimension, plain or zip; a text inside a zip of several is named as
    ``glove.6B.zip/glove.6B.300d.txt``. None is the table carried in the project. ``parts`` extends LABEL_PARTS.

    Raises ModelingError for a file that cannot be read, a malformed line (by its number), and a label with a word that
    has no vector (by label and word).
    """
    file = CARRIED_TABLE if path is None else Path(path)
    wanted = {label: _parts(label, parts or {}) for label in labels}
    found = read_vectors(file, {word for words in wanted.values() for word in words})
    source = f"{file.name} sha256:{_sha256(_split_zip(file)[0])}"
    rows = []
    for label, words in wanted.items():
        missing = [word for word in words if word not in found]
        if missing:
            raise ModelingError(
                f"label {label!r} has no word vector: {missing[0]!r} is not in {file.name}; name words that are in it "
                f"under word_vectors.parts for {label!r}, or give another GloVe file"
            )
        vector = np.mean([found[word] for word in words], axis=0).astype(np.float32)
        rows.append({"label": label, "parts": words, "vector": vector, "source": source})
    return pa.Table.from_pylist(rows, WORD_VECTORS)


def vectors_from_table(table: pd.DataFrame | pa.Table, labels: Sequence[str]) -> NDArray[np.float32]:
    """The vectors of a WORD_VECTORS table in the order of ``labels``: ``(C, d)`` float32.

    Raises ModelingError that names a label without a row.
    """
    rows = as_frame(table)
    known = dict(zip(rows["label"], rows["vector"], strict=True))
    for label in labels:
        if label not in known:
            raise ModelingError(f"label {label!r} has no word vector in the table: make the word vectors anew")
    return np.array([known[label] for label in labels], dtype=np.float32)


def read_vectors(path: Path, words: set[str]) -> _Vectors:
    """The vectors of these words from a GloVe text file: ``(d,)`` float64 each; words that it lacks are left out.

    One pass, one line in memory at a time. Every line is checked for its count of numbers, the wanted ones also for
    the numbers themselves; of a word that stands twice the first counts.
    """
    wanted = {word.encode(): word for word in words}
    found: _Vectors = {}
    dimension = 0
    with _open(path) as lines:
        for number, line in enumerate(lines, start=1):
            fields = line.rstrip()
            if not fields or (number == 1 and _is_header(fields)):
                continue
            spaces = fields.count(b" ")
            dimension = dimension or spaces
            if dimension == 0 or spaces < dimension:
                raise _malformed(path, number, f"{spaces} numbers instead of {dimension or 'some'}")
            word, _, rest = fields.partition(b" ")
            if spaces > dimension:  # some published tables have words with spaces inside
                word, *numbers = fields.rsplit(b" ", dimension)
                if b" " in word and _is_number(word.split(b" ")[-1]):
                    raise _malformed(path, number, f"{spaces} numbers instead of {dimension}")
                rest = b" ".join(numbers)
            if word in wanted and wanted[word] not in found:
                found[wanted[word]] = _numbers(rest, path, number)
    if dimension == 0:
        raise ModelingError(f"{path.name} is empty: give a GloVe text file, one word and its numbers a line")
    return found


def _parts(label: str, overrides: Mapping[str, Sequence[str]]) -> list[str]:
    table = {name.casefold(): list(words) for name, words in {**LABEL_PARTS, **overrides}.items()}
    words = table.get(label.casefold()) or label.lower().replace("_", " ").split()
    if not words:
        raise ModelingError(f"label {label!r} has no words: name some under word_vectors.parts")
    return words


def _numbers(text: bytes, path: Path, number: int) -> NDArray[np.float64]:
    try:
        vector = np.array([float(value) for value in text.split(b" ")])
    except ValueError:
        raise _malformed(path, number, "something that is not a number") from None
    if not np.isfinite(vector).all():
        raise _malformed(path, number, "a number that is not finite")
    return vector


def _malformed(path: Path, number: int, found: str) -> ModelingError:
    return ModelingError(
        f"{path.name} line {number} has {found}: give a GloVe text file, one word and its numbers a line"
    )


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _is_header(fields: bytes) -> bool:
    """Is this the first line of a word2vec text file: count and dimension?"""
    return fields.count(b" ") == 1 and all(field.isdigit() for field in fields.split(b" "))


def _split_zip(path: Path) -> tuple[Path, str | None]:
    """A path as file and member: ``a.zip/b.txt`` is the text b.txt inside a.zip."""
    if not path.exists():
        for parent in path.parents:
            if parent.is_file() and parent.suffix.lower() == ".zip":
                return parent, path.relative_to(parent).as_posix()
    return path, None


@contextmanager
def _open(path: Path) -> Iterator[IO[bytes]]:
    file, member = _split_zip(path)
    if not file.is_file():
        raise ModelingError(f"word vectors: there is no file {path}; correct word_vectors.path, or leave it out")
    try:
        if not zipfile.is_zipfile(file):
            with file.open("rb") as stream:
                yield stream
            return
        with zipfile.ZipFile(file) as archive, archive.open(_member(archive, file, member)) as text:
            yield text
    except (OSError, zipfile.BadZipFile, zlib.error) as error:
        raise ModelingError(f"word vectors: {file} cannot be read ({error}); get the file again") from error


def _member(archive: zipfile.ZipFile, file: Path, member: str | None) -> str:
    texts = [name for name in archive.namelist() if name.lower().endswith(".txt")]
    if member is not None and member in archive.namelist():
        return member
    if member is None and len(texts) == 1:
        return texts[0]
    listed = ", ".join(f"{file.name}/{name}" for name in texts) or "none"
    raise ModelingError(
        f"{file.name} holds no single text file of that name: point word_vectors.path at one inside it ({listed})"
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
