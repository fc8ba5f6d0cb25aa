"""How a Label Studio server reaches the pictures: as files of its machine, or as objects of a bucket."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Protocol
from urllib.parse import quote

from labeling.errors import LabelingError

DOCUMENT_ROOT_VARIABLE = "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"  # of the server
STORAGE_TITLE = "stylegraph pictures"

_MATCHES_NOTHING = "^$"  # so that "Sync" on the server's storage page makes no tasks of files
_PRESIGN_MINUTES = 5
_SAFE_KEY = re.compile(r"[A-Za-z0-9!_.()/-]*")  # the server takes keys out of addresses as they are, without unquoting


class PictureSource(Protocol):
    """What the project needs to know about pictures."""

    def url(self, image_path: str) -> str:
        """Return what a task's data says for the image at ``image_path`` (of ``LABEL_TASKS``)."""
        ...

    def storage_payload(self, project_id: int) -> tuple[str, dict[str, Any]]:
        """Return the path of the API that makes the server's storage, and the body to post there."""
        ...


@dataclass(frozen=True)
class LocalPictures:
    """Pictures in a folder below the server's document root.

    Attributes:
        images: folder of the pictures; the first part of every ``image_path`` is its name.
        document_root: the folder that the server may serve files from, as this machine sees it.
        server_root: the same folder as the server sees it, where that differs (a server in a container).

    Raises:
        LabelingError: if ``images`` is not below ``document_root``, or is ``document_root`` itself.
    """

    images: Path
    document_root: Path
    server_root: PurePosixPath | None = None

    def __post_init__(self) -> None:
        if self._root not in self._images.parents:
            raise LabelingError(
                f"Label Studio cannot serve {self._images}: it must lie below the server's document root {self._root}; "
                f"start the server with {DOCUMENT_ROOT_VARIABLE} set to {self._images.parent} or a folder above it"
            )

    def url(self, image_path: str) -> str:
        """Return the address, on the server itself, that serves the picture to people who are logged in.

        Raises:
            LabelingError: if the path does not lie in the folder of the pictures.
        """
        parts = image_path.split("/")
        if len(parts) < 2 or parts[0] != self._images.name or not {"", ".", ".."}.isdisjoint(parts):
            raise LabelingError(f"the image {image_path} is not in {self._images}, which Label Studio serves")
        return local_files_url("/".join([self._below_root, *parts[1:]]))

    def storage_payload(self, project_id: int) -> tuple[str, dict[str, Any]]:
        """Return how to allow the server to serve the folder to members of the project."""
        path = PurePosixPath(self.server_root or self._root.as_posix()) / self._below_root
        return "/api/storages/localfiles", {
            "project": project_id,
            "title": STORAGE_TITLE,
            "path": str(path),
            "use_blob_urls": True,
            "regex_filter": _MATCHES_NOTHING,
        }

    @cached_property
    def _images(self) -> Path:
        # Path.resolve would follow links, but the server compares the paths as they are written.
        return Path(os.path.abspath(self.images))  # noqa: PTH100

    @cached_property
    def _root(self) -> Path:
        return Path(os.path.abspath(self.document_root))  # noqa: PTH100

    @cached_property
    def _below_root(self) -> str:
        return self._images.relative_to(self._root).as_posix()


@dataclass(frozen=True)
class S3Pictures:
    """Pictures in a bucket; the server signs an address for a few minutes whenever a person looks at one.

    Attributes:
        bucket: name of the bucket.
        prefix: key prefix of the data location, without slashes around it; may be empty.
        region: region of the bucket; without one, the server's own default.
        endpoint: address of the S3 service, which the experts' browsers fetch the pictures from; None: that of
            ``AWS_ENDPOINT_URL``, else Amazon's; "": the server's own. Label Studio refuses an address of a private
            network, unless the server itself is started with it in ``S3_ENDPOINT``: then give "".
        environment: where ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY`` and ``AWS_SESSION_TOKEN`` are looked up. If
            the first two are absent, nothing secret is sent and the server uses credentials of its own.

    Raises:
        LabelingError: if the bucket is missing, or the prefix has characters that would break an address.
    """

    bucket: str
    prefix: str = ""
    region: str | None = None
    endpoint: str | None = None
    environment: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        if not self.bucket or "/" in self.bucket:
            raise LabelingError(f"{self.bucket!r} is no bucket name; correct the address of the data location")
        if not _SAFE_KEY.fullmatch(self.prefix):
            raise LabelingError(
                f"the prefix {self.prefix!r} of bucket {self.bucket} has characters that Label Studio cannot find; "
                "use letters, digits and !_.()/- only"
            )

    def url(self, image_path: str) -> str:
        """Return the object's ``s3://`` address, which the server replaces by a signed one when a person looks."""
        return f"s3://{self.bucket}/{self._key(image_path)}"

    def storage_payload(self, project_id: int) -> tuple[str, dict[str, Any]]:
        """Return how to let the server sign addresses; at least one picture must be in the bucket already."""
        environment = os.environ if self.environment is None else self.environment
        body: dict[str, Any] = {
            "project": project_id,
            "title": STORAGE_TITLE,
            "bucket": self.bucket,
            "prefix": self._key("images"),
            "presign": True,
            "presign_ttl": _PRESIGN_MINUTES,
            "use_blob_urls": False,
            "regex_filter": _MATCHES_NOTHING,
        }
        if self.region:
            body["region_name"] = self.region
        if endpoint := environment.get("AWS_ENDPOINT_URL") if self.endpoint is None else self.endpoint:
            body["s3_endpoint"] = endpoint
        if environment.get("AWS_ACCESS_KEY_ID") and environment.get("AWS_SECRET_ACCESS_KEY"):
            for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
                if environment.get(name):
                    body[name.lower()] = environment[name]
        return "/api/storages/s3", body

    def _key(self, path: str) -> str:
        return "/".join(part for part in (self.prefix.strip("/"), path) if part)


def local_files_url(path: str) -> str:
    """Return the address under which Label Studio serves the file at ``path`` inside its document root."""
    return f"/data/local-files/?d={quote(path)}"
