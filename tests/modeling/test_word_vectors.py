import hashlib
import zipfile

import numpy as np
import pytest

from modeling.errors import ModelingError
from modeling.tables import WORD_VECTORS
from modeling.word_vectors import CARRIED_TABLE, read_vectors, vectors_from_table, word_vectors

# The styles of the paper's Table 2, and garments of common photo collections.
STYLES = [
    *("Casual", "Romantic", "Sexy", "Ethnic", "Elegant", "Natural", "Sporty", "Retro", "Classic", "Businesscasual"),
    *("Exotic", "Modern", "Sophisticated", "Glamorous", "Manish", "Hippie", "Gothpunkrocker", "Military", "Tomboy"),
    *("Kitschkidult", "Hiphop", "Grunge", "Preppy"),
]
GARMENTS = [
    "dress",
    "coat",
    "suit",
    "jacket",
    "sweater",
    "skirt",
    "jeans",
    "shorts",
    "shirt",
    "blouse",
    "t-shirt",
    "top",
]

SMALL = "the 1 2 3\nred 0.5 -1 2\ndress 1 0 1\nshirt 3 0 -1\n"


def write(folder, text, name="small.txt"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_the_carried_table_knows_every_style_and_garment():
    table = word_vectors(STYLES + GARMENTS)
    assert table.schema == WORD_VECTORS
    assert table.column("label").to_pylist() == STYLES + GARMENTS
    vectors = vectors_from_table(table, STYLES)
    assert vectors.shape == (23, 100)
    assert vectors.dtype == np.float32
    assert len(np.unique(vectors, axis=0)) == 23
    assert np.isfinite(vectors).all()


def test_the_parts_are_those_of_the_written_table():
    labels = ["Businesscasual", "Gothpunkrocker", "Kitschkidult", "Hiphop", "Manish", "Retro"]
    parts = dict(zip(labels, word_vectors(labels).column("parts").to_pylist(), strict=True))
    assert parts == {
        "Businesscasual": ["business", "casual"],
        "Gothpunkrocker": ["goth", "punk", "rocker"],
        "Kitschkidult": ["kitsch", "kid", "adult"],
        "Hiphop": ["hip-hop"],
        "Manish": ["mannish"],
        "Retro": ["retro"],
    }


def test_a_vector_is_the_mean_of_its_parts():
    lines = dict(line.split(" ", 1) for line in CARRIED_TABLE.read_text(encoding="utf-8").splitlines())
    business, casual = (np.array(lines[word].split(), dtype=float) for word in ("business", "casual"))
    vector = word_vectors(["Businesscasual"]).column("vector").to_pylist()[0]
    np.testing.assert_allclose(vector, (business + casual) / 2, rtol=1e-6)


def test_the_source_names_file_and_content(tmp_path):
    path = write(tmp_path, SMALL)
    source = word_vectors(["red"], path).column("source").to_pylist()[0]
    assert source == f"small.txt sha256:{hashlib.sha256(SMALL.encode()).hexdigest()}"


def test_a_file_of_any_dimension_and_labels_of_several_words(tmp_path):
    table = word_vectors(["Red Dress", "red_shirt", "SHIRT"], write(tmp_path, SMALL))
    assert vectors_from_table(table, ["SHIRT", "Red Dress", "red_shirt"]).tolist() == [
        [3, 0, -1],
        [0.75, -0.5, 1.5],
        [1.75, -0.5, 0.5],
    ]


def test_parts_in_the_settings_come_before_the_table(tmp_path):
    path = write(tmp_path, SMALL)
    table = word_vectors(["Gown", "Manish"], path, {"gown": ["dress"], "Manish": ["red", "shirt"]})
    assert table.column("parts").to_pylist() == [["dress"], ["red", "shirt"]]


def test_a_label_without_vector_is_named_with_its_word(tmp_path):
    path = write(tmp_path, SMALL)
    with pytest.raises(ModelingError, match=r"label 'Red Coat' has no word vector: 'coat' is not in small\.txt"):
        word_vectors(["red", "Red Coat"], path)
    with pytest.raises(ModelingError, match="label '_' has no words"):
        word_vectors(["_"], path)
    with pytest.raises(ModelingError, match="label 'coat' has no word vector in the table"):
        vectors_from_table(word_vectors(["red"], path), ["red", "coat"])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("red 1 2 3\ndress 1 2\n", 2),
        ("red 1 2 3\ncoat 1 2\n", 2),  # also of a word that is not wanted
        ("red 1 2 3\n\ndress 1 2 x\n", 3),
        ("dress 1 2 nan\n", 1),
        ("red 1 2 3\ndress 1 2 3 4\n", 2),
        ("dress\n", 1),
    ],
)
def test_a_malformed_line_is_named_by_its_number(tmp_path, text, line):
    with pytest.raises(ModelingError, match=rf"small\.txt line {line} has"):
        word_vectors(["dress"], write(tmp_path, text))


def test_lines_that_published_files_have(tmp_path):
    """A word2vec header, Windows line ends, words with spaces, a word twice: the first counts."""
    path = write(tmp_path, "4 3\r\nred 1 2 3\r\n. . . 4 5 6\r\nat home 1 1 1\r\nred 7 8 9\r\nrouge é 1 1 2\r\n")
    found = read_vectors(path, {"red", "rouge é", "home"})
    assert {word: vector.tolist() for word, vector in found.items()} == {"red": [1, 2, 3], "rouge é": [1, 1, 2]}


def test_a_zip_of_one_text_is_read_in_place(tmp_path):
    path = tmp_path / "small.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("small.txt", SMALL)
    assert word_vectors(["dress"], path).column("vector").to_pylist() == [[1, 0, 1]]


def test_a_zip_of_several_texts_needs_a_choice(tmp_path):
    path = tmp_path / "glove.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("glove.3d.txt", SMALL)
        archive.writestr("glove.2d.txt", "dress 5 6\n")
    with pytest.raises(ModelingError, match=r"\(glove\.zip/glove\.3d\.txt, glove\.zip/glove\.2d\.txt\)"):
        word_vectors(["dress"], path)
    chosen = word_vectors(["dress"], path / "glove.2d.txt")
    assert chosen.column("vector").to_pylist() == [[5, 6]]
    assert chosen.column("source").to_pylist()[0].startswith("glove.2d.txt sha256:")
    with pytest.raises(ModelingError, match="no single text file"):
        word_vectors(["dress"], path / "glove.9d.txt")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ModelingError, match=r"there is no file .*gone\.txt; correct word_vectors\.path"):
        word_vectors(["dress"], tmp_path / "gone.txt")
    with pytest.raises(ModelingError, match="is empty"):
        word_vectors(["dress"], write(tmp_path, ""))
    good = tmp_path / "good.zip"
    with zipfile.ZipFile(good, "w") as archive:
        archive.writestr("small.txt", SMALL)
    broken = tmp_path / "broken.zip"
    broken.write_bytes(good.read_bytes().replace(b"dress", b"drift"))
    with pytest.raises(ModelingError, match="cannot be read"):
        word_vectors(["dress"], broken)
