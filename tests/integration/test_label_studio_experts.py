"""The demo's simulated experts on a real Label Studio: their accounts, their work, and their work done twice."""

import contextlib
import hashlib
import itertools
import stat
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from labeling.annotations import Annotations
from labeling.config import ATTENTION, labeling_config
from labeling.references import ImageIndex
from labeling.studio.answers import read_store
from labeling.studio.connection import Connection, StudioError
from labeling.studio.pull import pull
from labeling.studio.server import RunningServer
from labeling.studio.store import StudioStore
from labeling.taxonomy import Taxonomy
from pipeline.demo.accounts import PASSWORDS_NAME
from pipeline.demo.judgement import EXPERTS, REVIEWER, STYLE, Answer
from pipeline.demo.planted import Planted, PlantedImage
from pipeline.demo.queue_view import expert_view
from pipeline.demo.results import answer_results
from pipeline.demo.studio_experts import ExpertAccess, Work, answer_all, expert_access
from pipeline.demo.styles import STYLES, main_styles, sub_styles
from tests.integration.label_studio_server import LabelStudioFiles

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

SEED, TASKS = 2019, 60
TAXONOMY = Taxonomy(STYLES)
MISTAKES = ("two_mains", "unknown_label", "main_in_subs", "no_main")

Json = dict[str, Any]


@dataclass(frozen=True)
class Project:
    """A project whose 60 images hold everything that simulated experts ever do."""

    server: RunningServer
    project_id: int
    planted: Planted
    access: ExpertAccess

    def work(self, **options: Any) -> Work:
        return answer_all(self.server.url, self.access, self.project_id, self.planted, SEED, **options)

    def tasks(self) -> list[Json]:
        with self.server.connection() as connection:
            listed = connection.get("/api/tasks", project=self.project_id, page=1, page_size=TASKS, fields="all")
        return list(listed["tasks"])


def _open_task(image_id: str) -> Json:
    task = {"id": 1, "annotations": [], "drafts": [], "shown": [], "is_labeled": False}
    return {**task, "data": {"image_id": image_id}}


@cache
def _planted() -> Planted:
    """Images for which one expert or the other has each outcome in mind, and others."""
    rng = np.random.default_rng(3)
    ids = [hashlib.sha256(f"{number}".encode()).hexdigest() for number in range(3000)]
    images = {
        image_id: PlantedImage(image_id, main, tuple(sub_styles(main, rng)))
        for image_id, main in zip(ids, main_styles(len(ids), rng), strict=True)
    }
    everything = Planted(1, (), (), images)
    chosen: dict[str, PlantedImage] = {}
    for expert, outcome in itertools.product((0, 1), (*MISTAKES, "skipped", "draft", "not_fashion", "cant_tell")):
        fitting = (key for key in ids if expert_view(_open_task(key), 1, expert, everything, SEED).outcome == outcome)
        chosen |= {key: images[key] for key in itertools.islice(fitting, 2)}
    others = [key for key in ids if key not in chosen]
    chosen |= {key: images[key] for key in others[: TASKS - len(chosen)]}
    return Planted(1, (), (), chosen)


@pytest.fixture
def project(label_studio: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    planted = _planted()
    with label_studio.connection() as connection:
        body = {
            "title": f"experts {len(connection.users())}",
            "label_config": labeling_config(TAXONOMY),
            "maximum_annotations": 2,
            "skip_queue": "REQUEUE_FOR_ME",
        }
        project_id = connection.post("/api/projects", body)["id"]
        context = dict.fromkeys(("image", "created_at", "hashtags", "alt_text", "window", ATTENTION), "")
        tasks = [{"data": {**context, "image_id": image_id}} for image_id in planted.images]
        connection.post(f"/api/projects/{project_id}/import", tasks)
        folder = tmp_path_factory.getbasetemp() / "accounts"  # the accounts live as long as the server
        yield Project(label_studio, project_id, planted, expert_access(connection, folder))


@pytest.fixture
def exported(project: Project, tmp_path: Path) -> Any:
    """A function that exports the project as the pipeline does."""

    def export() -> Annotations:
        rows = pd.DataFrame(
            {"image_id": list(project.planted.images), "image_ids": [[key] for key in project.planted.images]}
        ).assign(names=[[]] * TASKS, name_image_ids=[[]] * TASKS)
        with (
            project.server.connection() as connection,
            StudioStore(tmp_path / "mirror.sqlite") as store,
        ):
            pull(connection, project.project_id, store)
            index, users = ImageIndex.from_tasks(rows), connection.users()
            return read_store(store, index, TAXONOMY, users, lambda task_id: f"task {task_id}")

    return export


def _outcomes(annotations: Annotations) -> Counter[str]:
    return Counter(annotations.valid["answer"].to_pylist()) + Counter(annotations.quarantined["reason"].to_pylist())


def test_what_the_experts_say_they_did_is_what_the_export_finds(project: Project, exported: Any) -> None:
    seen: list[tuple[int, int]] = []
    work = project.work(progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (work.steps, work.steps)
    assert [done for done, _ in seen] == list(range(1, work.steps + 1))
    assert {*MISTAKES, "skipped", "draft", "not_fashion", "cant_tell", STYLE} == set(work.outcomes)
    assert work.outcomes.total() == 2 * TASKS
    annotations = exported()
    assert _outcomes(annotations) == work.outcomes
    assert Counter(annotations.quarantined["reason"].to_pylist()) == work.refused
    valid = annotations.valid.to_pandas()
    assert set(valid["annotator"]) == set(EXPERTS)
    assert valid["lead_time"].between(2, 120).all()
    assert valid["lead_time"].nunique() > TASKS
    reviewed = valid[valid["review"].notna()]
    assert Counter(reviewed["review"]) == work.reviews
    assert set(work.reviews) == {"accepted", "rejected"}
    assert set(reviewed["reviewer"]) == {REVIEWER}
    assert reviewed["note"].notna().tolist() == (reviewed["review"] == "rejected").tolist()


def test_called_again_they_find_nothing_to_do(project: Project) -> None:
    work = project.work()
    before = project.tasks()
    assert project.work() == replace(work, steps=0)
    assert [task["updated_at"] for task in project.tasks()] == [task["updated_at"] for task in before]
    for task in before:
        people = [annotation["completed_by"] for annotation in task["annotations"]]
        assert len(people) == len(set(people)), "somebody answered twice"
        answers = sum(not annotation["was_cancelled"] for annotation in task["annotations"])
        assert task["is_labeled"] == (answers == 2), "the server miscounts"


def test_a_day_that_is_cut_short_is_finished_by_the_next(project: Project) -> None:
    class PowerCutError(Exception):
        pass

    def fail(done: int, total: int) -> None:
        if done == 30:
            raise PowerCutError

    with pytest.raises(PowerCutError):
        project.work(progress=fail)
    standing = sum(len(task["annotations"]) for task in project.tasks())
    assert 25 < standing < 40
    work = project.work()
    assert work.outcomes.total() == 2 * TASKS
    assert project.work() == replace(work, steps=0)


@contextlib.contextmanager
def _unreliable(url: str) -> Iterator[tuple[str, list[str]]]:
    """Stand before a server; pass everything on, but answer 500 to many an answer that got in, noted in the list."""
    failed: list[str] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._forward(b"")

        def do_POST(self) -> None:
            self._forward(self.rfile.read(int(self.headers["Content-Length"])))

        def _forward(self, body: bytes) -> None:
            headers = {name: self.headers[name] for name in ("Authorization", "Content-Type") if name in self.headers}
            answer = httpx.request(self.command, url + self.path, content=body, headers=headers, timeout=60)
            content, status = answer.content, answer.status_code
            if status == 201 and (len(failed) < 5 or self.path.endswith("/drafts")):
                failed.append(self.path)
                content, status = b'{"detail": "database is locked"}', 500
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_PATCH = do_POST  # noqa: N815 - the name that the server of the standard library looks for

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", failed
        server.shutdown()


def test_an_answer_whose_receipt_was_lost_is_not_given_twice(project: Project) -> None:
    with _unreliable(project.server.url) as (url, failed):
        work = answer_all(url, project.access, project.project_id, project.planted, SEED)
    assert sum(path.endswith("/annotations/") for path in failed) >= 5
    assert sum(path.endswith("/drafts") for path in failed) == work.outcomes["draft"] > 0
    assert project.work() == replace(work, steps=0)
    for task in project.tasks():
        people = [annotation["completed_by"] for annotation in task["annotations"]]
        assert len(people) == len(set(people)), "somebody answered twice"
        assert task["is_labeled"] == (sum(not one["was_cancelled"] for one in task["annotations"]) == 2)
    drafts = [task["drafts"] for task in _as(project, 0) + _as(project, 1) if task["drafts"]]
    assert [len(one) for one in drafts] == [1] * work.outcomes["draft"]


def _as(project: Project, expert: int) -> list[Json]:
    """The tasks as an expert sees them: with their own drafts."""
    with Connection(project.server.url, project.access.experts[expert].token) as connection:
        listed = connection.get("/api/tasks", project=project.project_id, page=1, page_size=TASKS, fields="all")
    return list(listed["tasks"])


def test_what_comes_back_is_corrected_by_whoever_did_it(project: Project, exported: Any) -> None:
    work = project.work()
    mistakes = {row["annotation_id"]: row for row in exported().quarantined.to_pylist() if row["reason"] in MISTAKES}
    with project.server.connection() as connection:
        for annotation_id, row in mistakes.items():
            connection.patch(f"/api/annotations/{annotation_id}/", {"was_cancelled": True})
            data = {**connection.get(f"/api/tasks/{row['task_id']}/")["data"], ATTENTION: row["detail"]}
            connection.patch(f"/api/tasks/{row['task_id']}/", {"data": data})
    again = project.work()
    assert again.corrected == Counter(row["reason"] for row in mistakes.values())
    assert again.outcomes.total() == work.outcomes.total()
    assert set(again.refused) == {"skipped", "draft"}
    annotations = exported()
    assert _outcomes(annotations) == again.outcomes
    valid = annotations.valid.to_pandas().set_index("annotation_id")
    assert [valid.loc[key, "annotator"] for key in mistakes] == [row["annotator"] for row in mistakes.values()]
    assert project.work() == replace(again, steps=0)


def test_a_prediction_that_fits_is_taken_and_another_changed(project: Project) -> None:
    usual = [key for key in project.planted.images if _usual(project.planted, key)]
    fitting, strange = usual[:8], usual[8:12]
    with project.server.connection() as connection:
        ids = {task["data"]["image_id"]: task["id"] for task in project.tasks()}
        for image_id in (*fitting, *strange):
            truth = project.planted.images[image_id]
            answer = Answer((truth.main,), truth.subs) if image_id in fitting else Answer(("Kitschkidult",))
            result = answer_results(answer, lambda: "key")
            body = {"task": ids[image_id], "result": result, "score": 0.9, "model_version": "model 1"}
            connection.post("/api/predictions/", body)
        connection.patch(f"/api/projects/{project.project_id}/", {"model_version": "model 1"})
    work = project.work()
    assert work.predictions["changed"] >= 2 * len(strange)
    assert work.predictions["taken"] >= len(fitting)
    made_from = {
        task["data"]["image_id"]: {annotation["parent_prediction"] for annotation in task["annotations"]}
        for task in project.tasks()
    }
    assert all(None not in made_from[image_id] for image_id in (*fitting, *strange))
    assert all(made_from[image_id] == {None} for image_id in usual[12:])


def _usual(planted: Planted, image_id: str) -> bool:
    views = [expert_view(_open_task(image_id), 1, expert, planted, SEED) for expert in (0, 1)]
    return all(view.outcome == STYLE for view in views)


def test_strangers_tasks_are_refused(project: Project) -> None:
    with pytest.raises(ValueError, match="was not planted"):
        answer_all(project.server.url, project.access, project.project_id, Planted(1, (), ()), SEED)
    assert not any(task["annotations"] for task in project.tasks())


def test_accounts_are_made_once_and_their_secrets_kept(label_studio: RunningServer, project: Project) -> None:
    folder = Path(str(project.access.experts[0].email))  # never there
    with label_studio.connection() as connection:
        assert set(EXPERTS) | {REVIEWER} <= set(connection.users().values())
        with pytest.raises(StudioError, match=f"{EXPERTS[0]} exists at .*its password is not in"):
            expert_access(connection, folder)
    assert not folder.exists()
    for person in (*project.access.experts, project.access.reviewer):
        assert person.token not in repr(project.access)
        with Connection(label_studio.url, person.token) as own:
            assert own.get("/api/current-user/whoami")["id"] == person.user_id


def test_accounts_work_where_legacy_tokens_are_forbidden(label_studio_files: LabelStudioFiles, tmp_path: Path) -> None:
    with label_studio_files.server(tmp_path / "server") as server, server.connection() as legacy:
        token = legacy.post("/api/token/", {})["token"]
        legacy.post("/api/jwt/settings", {"legacy_api_tokens_enabled": False})
        with Connection(server.url, token) as connection:
            first = expert_access(connection, tmp_path / "demo")
            second = expert_access(connection, tmp_path / "demo")
        assert stat.S_IMODE((tmp_path / "demo" / PASSWORDS_NAME).stat().st_mode) == 0o600
        assert [one.user_id for one in first.experts] == [one.user_id for one in second.experts]
        with Connection(server.url, second.reviewer.token) as own:
            assert own.get("/api/current-user/whoami")["email"] == REVIEWER
