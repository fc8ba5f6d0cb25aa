"""The project on a real Label Studio: made once, kept as the settings say, no label taken from under the answers."""

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from labeling import FASHION_STYLES, Taxonomy, labeling_config
from labeling.config import (
    CANT_TELL,
    CONFLICT_MARK,
    CORRECT_MARK,
    NOT_FASHION,
    SUSPICIOUS_MARK,
    attention_text,
    hotkeys,
)
from labeling.guide import style_guide
from labeling.studio.breaks import TaxonomyError
from labeling.studio.connection import Connection, StudioError
from labeling.studio.pictures import LocalPictures
from labeling.studio.project import Project, ensure_project, find_project
from labeling.studio.server import RunningServer, User
from labeling.studio.settings import LabelStudioServer
from labeling.styles import shown_style
from tests.integration.label_studio_tasks import answer
from tests.labeling.labeling_samples import choices

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

STYLES = Taxonomy(("Casual", "Retro", "Grunge"))
_numbers = itertools.count(1)


class Watched(Connection):
    """Remembers what it sent, and can wait for another connection before it creates something of a kind."""

    def __init__(self, server: RunningServer, meeting: threading.Barrier | None = None) -> None:
        super().__init__(server.url, server.admin.token)
        self.writes: list[tuple[str, str]] = []
        self._meeting = meeting

    def request(self, method: str, path: str, **options: Any) -> Any:
        if method != "GET":
            if self._meeting is not None and method == "POST" and ("POST", path) not in self.writes:
                self._meeting.wait(60)
            self.writes.append((method, path))
        return super().request(method, path, **options)


@pytest.fixture(scope="module")
def pictures(label_studio: RunningServer) -> LocalPictures:
    folder = label_studio.document_root / "of the project" / "images"
    folder.mkdir(parents=True)
    Image.new("RGB", (300, 400), "teal").save(folder / "one", "PNG")
    return LocalPictures(folder, label_studio.document_root)


@pytest.fixture
def connection(label_studio: RunningServer) -> Iterator[Watched]:
    with Watched(label_studio) as watched:
        yield watched


@pytest.fixture
def settings() -> LabelStudioServer:
    return LabelStudioServer(project=f"Styles {next(_numbers)} {time.time():.0f}")


def put_tasks(connection: Connection, project: Project, pictures: LocalPictures, *attentions: str) -> list[int]:
    """Import a task for each text of ``attention`` and return their ids."""
    rows = [{"data": shown_data(pictures, attention)} for attention in attentions]
    answered = connection.post(f"/api/projects/{project.project_id}/import", rows, return_task_ids="true")
    ids: list[int] = answered["task_ids"]
    return ids


def shown_data(pictures: LocalPictures, attention: str = "") -> dict[str, str]:
    texts = dict.fromkeys(("image_id", "created_at", "hashtags", "alt_text", "window"), "")
    return {**texts, "image": pictures.url("images/one"), "attention": attention}


def read(connection: Connection, project: Project) -> dict[str, Any]:
    found: dict[str, Any] = connection.get(f"/api/projects/{project.project_id}")
    return found


def views(connection: Connection, project: Project) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = connection.get("/api/dm/views/", project=project.project_id)
    return found


def storages(connection: Connection, project: Project) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = connection.get("/api/storages/localfiles", project=project.project_id)
    return found


def test_the_project_is_as_the_settings_say(
    label_studio: RunningServer, connection: Watched, settings: LabelStudioServer, pictures: LocalPictures
) -> None:
    assert find_project(connection, settings.project) is None
    project = ensure_project(connection, settings, FASHION_STYLES, pictures)
    assert find_project(connection, settings.project) == project
    assert find_project(connection, settings.project[:-1]) is None  # the server searches for parts of titles
    made = read(connection, project)
    assert made["label_config"] == labeling_config(FASHION_STYLES).strip()
    assert made["expert_instruction"] == style_guide(FASHION_STYLES)
    assert (made["maximum_annotations"], made["skip_queue"]) == (2, "REQUEUE_FOR_ME")
    assert (made["show_skip_button"], made["enable_empty_annotation"]) == (True, False)
    assert made["task_number"] == 0
    with label_studio.connection(label_studio.experts[0]) as expert:
        served = expert.request("GET", pictures.url("images/one"))
        assert served.content == (pictures.images / "one").read_bytes()
    titles = [view["data"]["title"] for view in views(connection, project)]
    assert titles == ["To label", "Review: conflicts", "Review: doubts", "Came back", "All"]


def test_a_second_time_nothing_is_sent(connection: Watched, pictures: LocalPictures) -> None:
    odd = Taxonomy(('"Rock" & <roll>', "it's", *(f"label {number}" for number in range(58))), {"it's": "a < b & 'c'"})
    for taxonomy, language in ((FASHION_STYLES, "en"), (FASHION_STYLES, "ko"), (odd, "ko")):
        settings = LabelStudioServer(project=f"Twice {next(_numbers)} {time.time():.0f}", language=language)
        project = ensure_project(connection, settings, taxonomy, pictures)
        connection.writes.clear()
        assert ensure_project(connection, settings, taxonomy, pictures) == project
        assert connection.writes == []


def test_only_what_differs_is_changed_and_what_people_made_stays(
    connection: Watched, settings: LabelStudioServer, pictures: LocalPictures
) -> None:
    project = ensure_project(connection, settings, STYLES, pictures)
    address = f"/api/projects/{project.project_id}"
    first, second, *_ = views(connection, project)
    connection.patch(f"/api/dm/views/{first['id']}/", {"data": {**first["data"], "gridWidth": 9}})
    connection.patch(f"/api/dm/views/{second['id']}/", {"data": {**second["data"], "title": "Mine"}})
    connection.patch(address, {"show_skip_button": False, "description": "of the team", "color": "#123456"})
    connection.writes.clear()
    ensure_project(connection, settings.model_copy(update={"answers_per_image": 3}), STYLES, pictures)
    assert connection.writes == [("PATCH", address), ("PATCH", address), ("POST", "/api/dm/views/")]
    changed = read(connection, project)
    assert (changed["show_skip_button"], changed["maximum_annotations"]) == (True, 3)
    assert (changed["description"], changed["color"]) == ("of the team", "#123456")
    kept = {view["id"]: view["data"] for view in views(connection, project)}
    assert kept[first["id"]]["gridWidth"] == 9
    assert kept[second["id"]]["title"] == "Mine"
    assert len(kept) == 6


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 3), (3, 2)])
def test_another_number_of_answers_holds_for_every_task(
    connection: Watched, settings: LabelStudioServer, pictures: LocalPictures, before: int, after: int
) -> None:
    project = ensure_project(connection, settings.model_copy(update={"answers_per_image": before}), STYLES, pictures)
    first, second, third = put_tasks(connection, project, pictures, "", "", "")
    connection.patch(f"/api/tasks/{first}", {"overlap": before + 1})  # as when its answers are in conflict
    answer(connection, second)
    ensure_project(connection, settings.model_copy(update={"answers_per_image": after}), STYLES, pictures)
    tasks = [connection.get(f"/api/tasks/{task}") for task in (first, second, third)]
    assert [task["overlap"] for task in tasks] == [after] * 3
    assert [task["is_labeled"] for task in tasks] == [False, after == 1, False]


def test_the_storage_follows_the_settings_of_the_pictures(
    label_studio: RunningServer, connection: Watched, settings: LabelStudioServer, pictures: LocalPictures
) -> None:
    project = ensure_project(connection, settings, STYLES, pictures)
    (storage,) = storages(connection, project)
    connection.patch(f"/api/storages/localfiles/{storage['id']}", {**storage, "description": "stylegraph of old"})
    connection.writes.clear()
    ensure_project(connection, settings, STYLES, pictures)
    assert connection.writes == [("PATCH", f"/api/storages/localfiles/{storage['id']}")]
    assert storages(connection, project)[0]["description"] == storage["description"]
    other = label_studio.document_root / "another place" / "images"
    other.mkdir(parents=True)
    ensure_project(connection, settings, STYLES, LocalPictures(other, label_studio.document_root))
    assert [Path(each["path"]) for each in storages(connection, project)] == [pictures.images, other]


def test_a_storage_that_people_made_for_the_pictures_will_do(
    connection: Watched, settings: LabelStudioServer, pictures: LocalPictures
) -> None:
    made = connection.post("/api/projects", {"title": settings.project})["id"]
    address, body = pictures.storage_payload(made)
    connection.post(address, {**body, "title": "ours"})
    project = ensure_project(connection, settings, STYLES, pictures)
    assert project.project_id == made
    assert [each["title"] for each in storages(connection, project)] == ["ours"]


def test_two_at_once_make_one_project(
    label_studio: RunningServer, connection: Watched, settings: LabelStudioServer, pictures: LocalPictures
) -> None:
    meeting = threading.Barrier(2)
    made: list[Project] = []

    def run() -> None:
        with Watched(label_studio, meeting) as own:
            made.append(ensure_project(own, settings, STYLES, pictures))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 2
    assert made[0] == made[1] == find_project(connection, settings.project)
    assert len(storages(connection, made[0])) == 1
    titles = [view["data"]["title"] for view in views(connection, made[0])]
    assert len(titles) == len(set(titles)) == 5


def test_two_projects_of_the_same_title_are_for_people_to_sort_out(
    connection: Watched, settings: LabelStudioServer, pictures: LocalPictures
) -> None:
    first, second = (connection.post("/api/projects", {"title": settings.project})["id"] for _ in range(2))
    connection.writes.clear()
    with pytest.raises(StudioError, match=rf"ids {first}, {second}\): rename or delete"):
        ensure_project(connection, settings, STYLES, pictures)
    assert connection.writes == []


def test_a_label_that_answers_use_stays(
    label_studio: RunningServer, connection: Watched, settings: LabelStudioServer, pictures: LocalPictures
) -> None:
    project = ensure_project(connection, settings, STYLES, pictures)
    first, second, third = put_tasks(connection, project, pictures, "", "", "")
    with label_studio.connection(label_studio.experts[0]) as expert:
        main = answer(expert, first, "Grunge")
        sub = answer(expert, second, "Casual", ["Grunge"])
        draft = expert.post(f"/api/tasks/{third}/drafts", {"result": [choices("main", "Retro")], "lead_time": 1.0})
    before = read(connection, project)
    connection.writes.clear()
    for fewer in (("Casual",), ("Casual", "grunge", "retro")):
        with pytest.raises(TaxonomyError) as refused:
            ensure_project(connection, settings, Taxonomy(fewer), pictures)
        message = str(refused.value)
        assert "'Grunge' (main 1, sub 1, drafts 0)" in message
        assert "'Retro' (main 0, sub 0, drafts 1)" in message
        assert project.task_link(first) in message
        assert "\n" not in message
    assert connection.writes == []
    assert read(connection, project)["label_config"] == before["label_config"]

    more = Taxonomy(("Boho", "Grunge", "Retro", "Casual"))
    ensure_project(connection, settings, more, pictures)
    assert read(connection, project)["label_config"] == labeling_config(more).strip()

    connection.patch(f"/api/annotations/{main}", {"result": [choices("main", "Casual")]})
    connection.delete(f"/api/annotations/{sub}")
    connection.delete(f"/api/drafts/{draft['id']}")
    fewer_labels = Taxonomy(("Boho", "Casual"))
    ensure_project(connection, settings, fewer_labels, pictures)
    assert read(connection, project)["label_config"] == labeling_config(fewer_labels).strip()


def test_a_label_of_imported_annotations_stays_over_many_pages(
    connection: Watched, settings: LabelStudioServer, pictures: LocalPictures
) -> None:
    project = ensure_project(connection, settings, STYLES, pictures)
    results = [[choices("main", "Grunge")], *([choices("main", "Retro")] for _ in range(34))]
    rows = [{"data": shown_data(pictures), "annotations": [{"result": result}]} for result in results]
    connection.post(f"/api/projects/{project.project_id}/import", rows)
    with pytest.raises(TaxonomyError, match=r"'Grunge' \(main 1, .*'Retro' \(main 34, "):
        ensure_project(connection, settings.model_copy(update={"page_size": 10}), Taxonomy(("Casual",)), pictures)


def test_tabs_hold_what_they_say(connection: Watched, settings: LabelStudioServer, pictures: LocalPictures) -> None:
    korean = settings.model_copy(update={"language": "ko", "answers_per_image": 1})
    project = ensure_project(connection, korean, STYLES, pictures)
    marks = (CONFLICT_MARK, SUSPICIOUS_MARK, CORRECT_MARK)
    texts = [attention_text(mark, "Retro", "ko") for mark in marks]
    plain, done, conflict, suspicious, correct = put_tasks(connection, project, pictures, "", "", *texts)
    answer(connection, done)
    held = []
    for view in views(connection, project):
        listed = connection.get("/api/tasks", project=project.project_id, view=view["id"], include="id")
        held.append({task["id"] for task in listed["tasks"]})
    assert held == [
        {plain, conflict, suspicious, correct},
        {conflict},
        {suspicious},
        {conflict, suspicious, correct},
        {plain, done, conflict, suspicious, correct},
    ]


@pytest.fixture(scope="module")
def browser_page(browser: Browser, label_studio: RunningServer) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1366, "height": 768})
    sign_in(page, label_studio, label_studio.experts[1])
    yield page
    page.close()


def sign_in(page: Page, server: RunningServer, user: User) -> None:
    page.goto(f"{server.url}/user/login")
    page.fill("input[name=email]", user.email)
    page.fill("input[name=password]", user.password)
    page.click("button[type=submit]")
    page.wait_for_url(lambda url: "login" not in url)


def open_task(page: Page, project: Project, task_id: int) -> None:
    page.goto(project.task_link(task_id))
    page.wait_for_selector(".sg-main input")
    page.wait_for_load_state("networkidle")  # earlier, keys are lost


def answers_shown(page: Page) -> tuple[list[str | None], list[str | None]]:
    """Wait until a main style is ticked, and return what is ticked as main and as sub."""
    page.wait_for_selector(".sg-main input:checked")
    main, subs = (page.locator(f".sg-{control} input:checked").all() for control in ("main", "subs"))
    return [box.get_attribute("name") for box in main], [box.get_attribute("name") for box in subs]


def press(page: Page, key: str) -> None:
    *held, last = key.split("+")
    page.keyboard.press("+".join([*(name.capitalize() for name in held), last.upper() if "shift" in held else last]))


def test_every_key_gives_its_answer(
    connection: Watched, settings: LabelStudioServer, pictures: LocalPictures, browser_page: Page
) -> None:
    project = ensure_project(connection, settings, FASHION_STYLES, pictures)
    (task,) = put_tasks(connection, project, pictures, "")
    open_task(browser_page, project, task)
    for (control, value), key in hotkeys(FASHION_STYLES).items():
        press(browser_page, key)
        browser_page.wait_for_selector(f'.sg-{control} input[name="{value}"]:checked', timeout=3000)
    main, subs = answers_shown(browser_page)
    assert (len(main), len(subs)) == (1, 23)
    # all of it is in sight at once, at the size of a small laptop
    for answer_box in browser_page.locator(".sg-answers input").all():
        box = answer_box.bounding_box()
        assert box is not None
        assert 0 < box["y"] + box["height"] < 718


@pytest.mark.parametrize("attention", ["", "Conflict: Retro or Casual", f"Conflict: {'Retro, ' * 30}or Casual"])
def test_what_stands_under_the_picture_is_in_sight(
    connection: Watched, settings: LabelStudioServer, pictures: LocalPictures, browser_page: Page, attention: str
) -> None:
    Image.new("RGB", (1200, 1600), "teal").save(pictures.images / "tall", "PNG")
    project = ensure_project(connection, settings, FASHION_STYLES, pictures)
    texts = {"created_at": "2019-07-02", "hashtags": "#ootd", "alt_text": "A person in a long coat by a wall. " * 3}
    data = {**shown_data(pictures, attention), **texts, "image": pictures.url("images/tall")}
    imported = [{"data": data, "annotations": [{"result": [choices("main", "Retro")]}]}]
    path = f"/api/projects/{project.project_id}/import"
    (task,) = connection.post(path, imported, return_task_ids="true")["task_ids"]
    open_task(browser_page, project, task)  # with the bar of answers, as a reviewer sees it
    browser_page.wait_for_function("document.querySelector('.sg-picture img').clientHeight > 200")
    under, bar = (browser_page.locator(name).bounding_box() for name in (".sg-context", ".lsf-bottombar"))
    assert under is not None
    assert bar is not None
    assert under["y"] + under["height"] <= bar["y"]


def test_an_answer_in_korean_is_stored_in_english(
    connection: Watched, settings: LabelStudioServer, pictures: LocalPictures, browser_page: Page
) -> None:
    korean = settings.model_copy(update={"language": "ko"})
    project = ensure_project(connection, korean, FASHION_STYLES, pictures)
    styled, other = put_tasks(connection, project, pictures, "", attention_text(CONFLICT_MARK, "", "ko"))

    open_task(browser_page, project, styled)
    assert browser_page.locator(".sg-attention").inner_text().strip() == ""
    browser_page.click(f"label:has(input[name='{shown_style('Retro', FASHION_STYLES, 'ko').name}'][type=radio])")
    press(browser_page, hotkeys(FASHION_STYLES)["subs", "Grunge"])
    submit(browser_page)
    open_task(browser_page, project, other)
    assert browser_page.locator(".sg-attention").inner_text().startswith(CONFLICT_MARK)
    press(browser_page, hotkeys(FASHION_STYLES)["main", CANT_TELL])
    submit(browser_page)
    stored = [
        [(part["from_name"], part["value"]["choices"]) for part in each["result"]]
        for task in (styled, other)
        for each in connection.get(f"/api/tasks/{task}")["annotations"]
    ]
    assert stored == [[("main", ["Retro"]), ("subs", ["Grunge"])], [("main", [CANT_TELL])]]

    open_task(browser_page, project, styled)  # and is shown in Korean again
    assert answers_shown(browser_page) == (["레트로"], ["그런지"])


def submit(page: Page) -> None:
    with page.expect_response(lambda response: "/annotations" in response.url and response.request.method == "POST"):
        page.keyboard.press("Control+Enter")


def test_a_prediction_in_english_is_shown_in_korean(
    connection: Watched, settings: LabelStudioServer, pictures: LocalPictures, browser_page: Page
) -> None:
    korean = settings.model_copy(update={"language": "ko"})
    project = ensure_project(connection, korean, FASHION_STYLES, pictures)
    style, none = put_tasks(connection, project, pictures, "", "")
    predicted = [
        {"task": style, "model_version": "m", "result": [choices("main", "Hiphop"), choices("subs", "Sporty")]},
        {"task": none, "model_version": "m", "result": [choices("main", NOT_FASHION)]},
    ]
    assert connection.post(f"/api/projects/{project.project_id}/import/predictions", predicted) == {"created": 2}
    connection.patch(f"/api/projects/{project.project_id}", {"model_version": "m"})
    open_task(browser_page, project, style)
    assert answers_shown(browser_page) == (["힙합"], ["스포티"])
    open_task(browser_page, project, none)
    assert answers_shown(browser_page) == (["패션 이미지 아님"], [])
    connection.writes.clear()
    ensure_project(connection, korean, FASHION_STYLES, pictures)  # leaves the model version alone
    assert connection.writes == []
    assert read(connection, project)["model_version"] == "m"


def test_no_answer_without_a_main_style(
    connection: Watched, settings: LabelStudioServer, pictures: LocalPictures, browser_page: Page
) -> None:
    project = ensure_project(connection, settings, FASHION_STYLES, pictures)
    (task,) = put_tasks(connection, project, pictures, "")
    open_task(browser_page, project, task)
    press(browser_page, hotkeys(FASHION_STYLES)["subs", "Casual"])
    browser_page.keyboard.press("Control+Enter")
    browser_page.wait_for_selector("text=Choose one main style, or say that this is not a fashion image")
    assert connection.get(f"/api/tasks/{task}")["annotations"] == []
