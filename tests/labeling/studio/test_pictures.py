"""Addresses of pictures for a server, and what is sent to make its storage."""

from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, urlsplit

import pytest

from labeling.errors import LabelingError
from labeling.studio.pictures import LocalPictures, S3Pictures
from tests.labeling.labeling_samples import image_id

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "session"}


def test_a_file_is_addressed_below_the_document_root() -> None:
    pictures = LocalPictures(Path("/srv/files/my fashion/images"), Path("/srv/files"))
    url = pictures.url("images/ab/ab12")
    assert url == "/data/local-files/?d=my%20fashion/images/ab/ab12"
    assert parse_qs(urlsplit(url).query) == {"d": ["my fashion/images/ab/ab12"]}
    assert pictures.storage_payload(7) == (
        "/api/storages/localfiles",
        {
            "project": 7,
            "title": "stylegraph pictures",
            "path": "/srv/files/my fashion/images",
            "use_blob_urls": True,
            "regex_filter": "^$",
        },
    )


def test_a_server_in_a_container_sees_the_files_elsewhere() -> None:
    pictures = LocalPictures(Path("/srv/data/images"), Path("/srv"), PurePosixPath("/label-studio/files"))
    assert pictures.url("images/ab/ab12") == "/data/local-files/?d=data/images/ab/ab12"
    assert pictures.storage_payload(7)[1]["path"] == "/label-studio/files/data/images"


def test_relative_folders_are_of_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pictures = LocalPictures(Path(".data/images"), Path(".data/../.data"))
    assert pictures.url("images/ab/ab12") == "/data/local-files/?d=images/ab/ab12"
    assert pictures.storage_payload(1)[1]["path"] == str(tmp_path / ".data" / "images")


@pytest.mark.parametrize("root", ["/srv/files/images", "/srv/other", "/srv/file", "/srv/files/images/ab"])
def test_a_folder_that_the_server_would_not_serve_is_refused(root: str) -> None:
    with pytest.raises(LabelingError, match=r"LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT set to /srv/files") as refused:
        LocalPictures(Path("/srv/files/images"), Path(root))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("path", ["other/ab/ab12", "images", "images/../secret", "/etc/passwd"])
def test_a_path_outside_the_pictures_is_refused(path: str) -> None:
    with pytest.raises(LabelingError, match="is not in /srv/files/images"):
        LocalPictures(Path("/srv/files/images"), Path("/srv/files")).url(path)


@pytest.mark.parametrize(("prefix", "key"), [("", ""), ("fashion/2024", "fashion/2024/"), ("/fashion/", "fashion/")])
def test_an_object_is_addressed_by_bucket_and_key(prefix: str, key: str) -> None:
    pictures = S3Pictures("photos", prefix, environment={})
    assert pictures.url(f"images/00/{image_id(1)}") == f"s3://photos/{key}images/00/{image_id(1)}"
    endpoint, body = pictures.storage_payload(3)
    assert endpoint == "/api/storages/s3"
    assert (body["bucket"], body["prefix"]) == ("photos", f"{key}images")
    assert body["presign"] is True
    assert 1 <= body["presign_ttl"] <= 15  # minutes
    assert body["use_blob_urls"] is False


def test_secrets_are_sent_only_where_the_environment_has_them() -> None:
    _, body = S3Pictures("photos", environment={}).storage_payload(3)
    assert not [name for name in body if name.startswith("aws") or name in ("s3_endpoint", "region_name")]
    _, body = S3Pictures("photos", environment={"AWS_ACCESS_KEY_ID": "key"}).storage_payload(3)
    assert "aws_access_key_id" not in body
    _, body = S3Pictures(
        "photos", region="eu-1", environment=KEYS | {"AWS_ENDPOINT_URL": "http://s3:9000"}
    ).storage_payload(3)
    assert (body["aws_access_key_id"], body["aws_secret_access_key"]) == ("key", "secret")
    assert (body["aws_session_token"], body["region_name"], body["s3_endpoint"]) == (
        "session",
        "eu-1",
        "http://s3:9000",
    )


@pytest.mark.parametrize(("endpoint", "sent"), [(None, "http://b:2"), ("http://a:1", "http://a:1"), ("", None)])
def test_an_endpoint_of_the_settings_goes_before_the_environment(endpoint: str | None, sent: str | None) -> None:
    pictures = S3Pictures("photos", endpoint=endpoint, environment={"AWS_ENDPOINT_URL": "http://b:2"})
    assert pictures.storage_payload(3)[1].get("s3_endpoint") == sent


@pytest.mark.parametrize(
    ("bucket", "prefix"), [("", ""), ("a/b", ""), ("photos", "a b"), ("photos", "what?"), ("photos", "#1")]
)
def test_addresses_that_would_break_are_refused(bucket: str, prefix: str) -> None:
    with pytest.raises(LabelingError, match=r"no bucket name|has characters"):
        S3Pictures(bucket, prefix)
