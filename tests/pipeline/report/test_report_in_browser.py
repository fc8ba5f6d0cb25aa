"""The page in a real browser: no errors, the score browser filters, the theme follows its button."""

import pytest

from pipeline.report import build_report

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def address(run_data, tmp_path_factory):
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_text(build_report(run_data), encoding="utf-8")
    return file.as_uri()


@pytest.fixture
def page(browser, address):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    problems, requests = [], []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    yield page
    assert problems == []
    assert all(url.startswith(("file:", "data:")) for url in requests)
    page.close()


def found(page):
    return int(page.locator("#found").inner_text().split()[0])


def test_filters_count_the_images_of_the_tables(page, run_data):
    result = run_data.label_sets[1]
    page.select_option("#filters [name=set]", label="top-7")
    scores = {model.architecture: model.scores for model in result.models}
    test = scores["ml_gcn"][scores["ml_gcn"]["split"] == "test"]
    assert found(page) == len(test)
    label = result.labels[1]
    page.select_option("#filters [name=label]", label=label)
    carrying = sum(label == row.main or label in row.subs for row in test.itertuples())
    assert found(page) == carrying
    page.select_option("#filters [name=label]", label="any")
    for metric in ("any@1", "all@2", "all@3"):
        page.select_option("#filters [name=rule]", value=metric)
        page.select_option("#filters [name=outcome]", label="right by ML-GCN")
        table = result.models[3].evaluation
        row = table[(table["split"] == "test") & (table["metric"] == metric) & table["label"].isna()]
        assert found(page) == round(len(test) * row["value"].iloc[0])


def test_pages_turn_and_end(page):
    assert page.locator("#images > li").count() == 12
    first = page.locator("#images code").first.inner_text()
    assert page.locator("#pager [name=back]").is_disabled()
    page.click("#pager [name=next]")
    assert page.locator("#images code").first.inner_text() != first
    page.click("#pager [name=back]")
    assert page.locator("#images code").first.inner_text() == first


def test_theme_button_goes_round(page):
    def ground():
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    seen = []
    for _ in range(3):
        page.click("#theme")
        seen.append((page.locator("#theme").inner_text(), ground()))
    assert [text for text, _ in seen] == ["Theme: light", "Theme: dark", "Theme: as the system"]
    assert seen[0][1] != seen[1][1]


@pytest.mark.parametrize("width", [360, 420, 768, 1280, 1900])
def test_page_never_scrolls_sideways(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    for details in page.locator("details").all():
        details.evaluate("element => { element.open = true; }")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out_from_its_ground(page, theme):
    page.emulate_media(color_scheme=theme)
    poor = page.evaluate(CONTRAST)
    assert poor == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_figures_of_a_heat_map_stand_out_from_every_shade(page, theme):
    page.emulate_media(color_scheme=theme)
    page.evaluate(EVERY_SHADE)
    assert page.locator("table.shades td").count() == 101
    grounds = page.locator("table.shades td").evaluate_all(
        "cells => cells.map(c => getComputedStyle(c).backgroundColor)"
    )
    assert len(set(grounds)) == 101, "each shade is another ground"
    assert page.evaluate(CONTRAST) == []


EVERY_SHADE = """() => {
  const cells = [...Array(101).keys()].map((shade) => `<td style="--s:${shade}">${shade}</td>`).join("");
  const table = `<table class="heat shades"><tr>${cells}</tr></table>`;
  document.querySelector("main").insertAdjacentHTML("afterbegin", table);
}"""

CONTRAST = """() => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const pixel = (colors) => {
    pen.clearRect(0, 0, 1, 1);
    for (const color of colors) { pen.fillStyle = color; pen.fillRect(0, 0, 1, 1); }
    return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const SKIPPED = ".sr, script, svg, button, option";
  const poor = new Map();
  const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility() || element.closest(SKIPPED)) continue;
    const grounds = [];
    for (let node = element; node; node = node.parentElement) grounds.unshift(getComputedStyle(node).backgroundColor);
    const ground = pixel(grounds);
    const text = pixel([...grounds, getComputedStyle(element).color]);
    const [low, high] = [light(ground), light(text)].sort((a, b) => a - b);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < 4.5) poor.set(`${element.tagName}.${element.className}`, `${ratio.toFixed(2)} ${element.textContent}`);
  }
  return [...poor];
}"""
