"""Pictures in a bucket, on a real Label Studio and a local S3 server: signed for who is logged in, nobody else."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from labeling.studio.connection import Connection, StudioError
from labeling.studio.pictures import S3Pictures
from tests.integration.label_studio_server import LabelStudioFiles
from tests.integration.label_studio_tasks import new_project
from tests.integration.s3_server import KEYS, s3_server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]

PICTURE = b"\xff\xd8 the bytes of a picture"
PATH = "images/ab/ab12"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An S3 server with one picture in the bucket ``photos``, which anybody may write but only signed requests read."""
    pytest.importorskip("moto", reason="the extra dev brings the S3 server")
    with s3_server(tmp_path_factory.mktemp("s3"), "photos", "empty") as url:
        httpx.put(f"{url}/photos/fashion/{PATH}", content=PICTURE).raise_for_status()
        yield url


def test_a_picture_in_a_bucket_is_signed_for_who_is_logged_in(
    s3: str, label_studio_files: LabelStudioFiles, tmp_path: Path
) -> None:
    pictures = S3Pictures("photos", "fashion", endpoint="", environment=KEYS | {"AWS_ENDPOINT_URL": s3})
    with (
        label_studio_files.server(tmp_path, more={"S3_ENDPOINT": s3}) as server,
        server.connection() as admin,
        server.connection(server.experts[0]) as expert,
    ):
        project = new_project(admin)
        with pytest.raises(StudioError, match="Cannot find bucket absent in S3"):
            admin.post(*S3Pictures("absent", endpoint="", environment=KEYS).storage_payload(project))
        with pytest.raises(StudioError, match=r"s3://empty/images not found"):
            admin.post(*S3Pictures("empty", endpoint="", environment=KEYS).storage_payload(project))
        storage = admin.post(*pictures.storage_payload(project))
        assert "secret" not in str(storage)
        task_id = _import(admin, project, pictures.url(PATH))

        shown = expert.get(f"/api/tasks/{task_id}")["data"]["image"]
        assert not shown.startswith("s3://")
        signed = _redirect(server.url, shown, server.experts[0].token)
        assert signed.status_code == 303
        address = signed.headers["location"]
        assert "X-Amz-Expires=300" in address  # seconds
        assert httpx.get(address).content == PICTURE
        assert httpx.get(address.partition("?")[0]).status_code == 403
        assert _redirect(server.url, shown, None).status_code == 401
        assert admin.get(f"/api/tasks/{task_id}", resolve_uri="false")["data"]["image"] == f"s3://photos/fashion/{PATH}"


def _import(admin: Connection, project: int, url: str) -> int:
    data = {"image": url, "image_id": "ab12", "created_at": "", "hashtags": "", "alt_text": "", "attention": ""}
    return int(admin.post(f"/api/projects/{project}/import", [{"data": data}], return_task_ids="true")["task_ids"][0])


def _redirect(url: str, path: str, token: str | None) -> httpx.Response:
    headers = {} if token is None else {"Authorization": f"Token {token}"}
    return httpx.get(f"{url}{path}", headers=headers)
