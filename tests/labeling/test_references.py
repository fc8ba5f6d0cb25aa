import pytest
from labeling_samples import image_id, index_of, task_row

from labeling import ImageReference, UnresolvedImage

ADDRESS = "https://social.example/media/a%20b/look.jpg?size=large#top"
INDEX = index_of(
    task_row(1, ["women/0001.jpg", "women/copy.jpg"], aside=[11]),
    task_row(2, ["men/0001.jpg", "men/0002.jpg"]),
    task_row(3, [ADDRESS]),
)


@pytest.mark.parametrize(
    ("name", "canonical", "labeled"),
    [
        (image_id(1), 1, 1),
        (image_id(11), 1, 11),
        (image_id(11).upper(), 1, 11),
        ("women/0001.jpg", 1, 1),
        (" men/0001.jpg\n", 2, 2),
        ("women/copy.jpg", 1, 11),
        ("copy.jpg", 1, 11),
        (ADDRESS, 3, 3),
        ("look.jpg", 3, 3),
        ("/data/local-files/?d=men/0002.jpg", 2, 2),
        ("http://localhost:8080/data/local-files/?d=men%2F0002.jpg", 2, 2),
        (f"/data/local-files/?d=stylegraph/images/00/{image_id(2)}", 2, 2),
        (f"s3://bucket/images/00/{image_id(2)}?X-Amz-Expires=60", 2, 2),
        ("/data/upload/7/1a2b3c4d-0002.jpg", 2, 2),
        ("C:\\photos\\copy.jpg", 1, 11),
    ],
)
def test_an_image_is_found_by_what_an_input_calls_it(name: str, canonical: int, labeled: int) -> None:
    assert INDEX.resolve(name) == ImageReference(image_id(canonical), image_id(labeled))


@pytest.mark.parametrize("name", ["0003.jpg", "", image_id(99), "[", "http://[half/0002.png", "omen/0002.jpg.txt"])
def test_an_unknown_name_is_said_to_be_unknown(name: str) -> None:
    found = INDEX.resolve(name)
    assert isinstance(found, UnresolvedImage)
    assert found.reason == "unknown_image"
    assert repr(name) in found.detail


def test_a_file_name_of_two_clusters_is_ambiguous() -> None:
    found = INDEX.resolve("0001.jpg")
    assert isinstance(found, UnresolvedImage)
    assert found.reason == "ambiguous_image"
    assert "use the full path" in found.detail


def test_a_name_of_two_images_of_one_cluster_means_the_canonical_one() -> None:
    index = index_of(task_row(5, ["look.jpg", "look.jpg"], aside=[4]))
    assert index.resolve("look.jpg") == ImageReference(image_id(5), image_id(5))
