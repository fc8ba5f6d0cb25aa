"""What a person does on the pages of Label Studio, in a real browser."""

import itertools
import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, Response, expect

from labeling.studio.project import Project
from labeling.studio.server import User

PATIENCE = 30_000  # milliseconds that a page may take


class Desk:
    """A person in front of a browser, logged in."""

    def __init__(self, browser: Browser, url: str, user: User, shots: Callable[[Page, str], None]) -> None:
        self.user, self._url, self._shots = user, url, shots
        self._context = browser.new_context(viewport={"width": 1500, "height": 950})
        self.page = self._context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.page.goto(f"{url}/user/login")
        self.page.fill("input[name=email]", user.email)
        self.page.fill("input[name=password]", user.password)
        self.page.click("button[type=submit]")
        self.page.wait_for_url(lambda address: "login" not in address)

    def close(self) -> None:
        self._context.close()

    def shot(self, name: str) -> None:
        """Keep a picture of the page as it is."""
        self._shots(self.page, f"{self.user.email.partition('@')[0]} {name}")

    # the data manager

    def open_tab(self, project: Project, tab: str) -> list[int]:
        """Open the project and one of its tabs; return the tasks that it lists."""
        self.page.goto(f"{project.url}/data")
        self.page.get_by_role("tab", name=tab, exact=True).click()
        expect(self.page.get_by_role("tab", name=tab, exact=True)).to_have_attribute("aria-selected", "true")
        self.page.wait_for_load_state("networkidle")  # the list of the tab before is shown until the new one is there
        boxes = self.page.get_by_label(re.compile(r"^Select Task \d+$"))
        return [int((box.get_attribute("aria-label") or "").split()[-1]) for box in boxes.all()]

    def open_task(self, task_id: int) -> None:
        """Click a task of the list that is open."""
        row = self.page.get_by_test_id("table-row").filter(has=self.page.get_by_label(f"Select Task {task_id}"))
        row.get_by_text(str(task_id), exact=True).click()
        self._settled(task_id)

    def label_all(self, project: Project) -> None:
        """Press "Label All Tasks" and close the instructions that come first."""
        self.page.goto(f"{project.url}/data")
        self.page.get_by_role("button", name="Label All Tasks").click()
        self.page.get_by_label("Close modal").click()
        self._settled()

    # the labeling screen

    @property
    def task_id(self) -> int:
        """The task on the screen."""
        return int(self._number.inner_text().split()[0])

    @property
    def attention(self) -> str:
        """What the screen says about why the task came back."""
        return self.page.locator(".sg-attention").inner_text().strip()

    @property
    def dialog(self) -> Locator:
        """The box in front of the screen that says what is missing."""
        return self.page.locator(".ant-modal-confirm")

    def choose(self, control: str, *labels: str) -> None:
        """Click answers."""
        for label in labels:
            self.page.locator(f'.sg-{control} label:has(input[name="{label}"])').click()
            expect(self._box(control, label)).to_be_checked()

    def take_back(self, control: str, label: str) -> None:
        """Click an answer that is chosen."""
        self.page.locator(f'.sg-{control} label:has(input[name="{label}"])').click()
        expect(self._box(control, label)).not_to_be_checked()

    def press(self, key: str, control: str, label: str) -> None:
        """Press a key that must choose an answer."""
        self.page.keyboard.press(key)
        expect(self._box(control, label)).to_be_checked()

    def chosen(self, control: str) -> list[str]:
        """Return the answers that are chosen, as the screen lists them."""
        return [box.get_attribute("name") or "" for box in self.page.locator(f".sg-{control} input:checked").all()]

    def click_submit(self) -> None:
        """Press Submit, whatever comes of it."""
        self.page.get_by_test_id("bottombar-submit-button").click()

    def submit(self, *, by_key: bool = False) -> None:
        """Submit the answer and see the next task."""
        press = (lambda: self.page.keyboard.press("Control+Enter")) if by_key else self.click_submit
        self._send_and_go_on(press)

    def submit_the_last(self) -> None:
        """Submit the answer to the last task that there is."""
        self._send(lambda: self.page.keyboard.press("Control+Enter"))
        expect(self.page.get_by_text("No More Tasks Left in Queue")).to_be_visible(timeout=PATIENCE)

    def skip(self) -> None:
        """Skip the task and see the next one."""
        self._send_and_go_on(self.page.get_by_test_id("bottombar-skip-button").click)

    def update(self) -> None:
        """Press Update; the task stays on the screen."""
        self._send(self.page.get_by_test_id("bottombar-update-button").click, "PATCH")
        expect(self.page.get_by_test_id("bottombar-update-button")).to_be_disabled()

    def look_at_answer_of(self, user: User) -> None:
        """Click the answer of one of the experts."""
        button = self.page.locator(".lsf-annotation-button").filter(has=self.page.locator(f'img[alt="{user.email}" i]'))
        button.click()
        expect(button).to_have_class(re.compile("lsf-annotation-button_selected"))

    def write_note(self, text: str) -> None:
        """Write the reviewer's note."""
        box = self.page.locator(".sg-reviewer").get_by_test_id("textarea-input")
        box.fill(text)
        box.press("Enter")
        expect(self.page.locator(".sg-reviewer")).to_contain_text(text)

    @property
    def _number(self) -> Locator:
        return self.page.locator(".lsf-current-task__task-id")

    def _box(self, control: str, label: str) -> Locator:
        return self.page.locator(f'.sg-{control} input[name="{label}"]')

    def _send_and_go_on(self, press: Callable[[], None]) -> None:
        before = self._number.inner_text()
        self._send(press)
        expect(self._number).not_to_have_text(before, timeout=PATIENCE)
        self._settled()

    def _send(self, press: Callable[[], None], method: str = "POST") -> None:
        """Do what sends an answer, and see that the server took it."""
        with self.page.expect_response(_is_annotation(method)) as response:
            press()
        assert response.value.ok

    def _settled(self, task_id: int | None = None) -> None:
        """Wait until the task and its picture are there."""
        if task_id is not None:
            expect(self._number).to_contain_text(str(task_id), timeout=PATIENCE)
        expect(self.page.locator(".sg-main")).to_be_visible(timeout=PATIENCE)
        self.page.wait_for_function(
            "() => { const picture = document.querySelector('.sg-picture img');"
            " return picture && picture.complete && picture.naturalWidth > 0 }"
        )


def _is_annotation(method: str) -> Callable[[Response], bool]:
    return lambda response: response.request.method == method and "/annotations" in response.url.partition("?")[0]


def shots_into(folder: Path) -> Callable[[Page, str], None]:
    """Return a function that keeps pictures of pages, numbered in the order of the day."""
    folder.mkdir(parents=True, exist_ok=True)
    counter = itertools.count(1)

    def keep(page: Page, name: str) -> None:
        page.screenshot(path=folder / f"{next(counter):02d} {name}.png")

    return keep
