"""Charts and picture grids: PNGs of a sensible size, the same bytes every time, whatever the labels are called."""

import io
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from modeling import figures
from modeling.correlation import correlation_table
from modeling.montages import fitted
from modeling.published import PAPER_IMAGES, TABLE_2, TABLE_3, TABLE_4, TABLE_5, paper_label_recalls, paper_recalls
from modeling.settings import GraphSettings

LABELS = ["Casual", "Romantic", "$afe & <odd>", "캐주얼"]


def picture(png):
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    return Image.open(io.BytesIO(png)).convert("RGB")


def gallery(jpeg):
    assert jpeg[:3] == b"\xff\xd8\xff"
    return Image.open(io.BytesIO(jpeg)).convert("RGB")


def close(color, wanted):
    return max(abs(one - other) for one, other in zip(color, wanted, strict=True)) <= 6


def correlation():
    mains = ["Casual"] * 6 + ["Romantic"] * 3 + LABELS[2:] * 2
    subs = [["Romantic"]] * 3 + [[]] * 10
    table = pd.DataFrame({"image_id": [str(n) for n in range(13)], "main": mains, "subs": subs, "split": "train"})
    return correlation_table(table, LABELS, GraphSettings(tau=0.4)).to_pandas()


def curves(best=3):
    epochs = np.arange(1, 6)
    return pd.DataFrame(
        {
            "epoch": epochs,
            "train_loss": 1 / epochs,
            "validation_loss": 1.1 / epochs,
            "validation_score": 0.8 - 0.3 / epochs,
        }
        | {"best": epochs == best}
    )


def evaluation(shift=0.0):
    metrics = ["any@1", "all@2", "any@2", "all@3", "any@3", "mean5"]
    values = np.linspace(0.6, 0.9, 6) + shift
    table = {
        "split": "test",
        "metric": metrics,
        "label": None,
        "value": values,
        "low": values - 0.05,
        "high": values + 0.04,
    }
    return pd.DataFrame(table | {"images": 120}).astype({"label": object})


def balance():
    rows = [
        (label, split, share)
        for label in (None, *LABELS)
        for split, share in zip(("train", "validation", "test"), (0.7, 0.1, 0.2), strict=True)
    ]
    return pd.DataFrame(rows, columns=["label", "split", "share"]).assign(
        images=10, target=lambda table: table["share"]
    )


def frequencies():
    return pd.DataFrame(
        {"label": LABELS, "main_images": [9, 6, 3, 0], "main_share": [0.5, 0.3, 0.2, 0.0], "sub_images": [1, 2, 3, 4]}
        | {"sub_share": [0.1, 0.2, 0.3, 0.4], "rank": [1, 2, 3, 4]}
    )


CHARTS = {
    "heat_map": lambda: figures.heat_map(correlation()),
    "adjacency": lambda: figures.heat_map(correlation(), "normalized"),
    "one model": lambda: figures.training_curves(curves()),
    "several models": lambda: figures.training_curves({"Backbone": curves(), "ML-GCN": curves(best=5)}),
    "frequencies": lambda: figures.label_frequencies(frequencies()),
    "splits": lambda: figures.split_bars(balance()),
    "metrics": lambda: figures.metric_bars({"Backbone": evaluation(), "ML-GCN": evaluation(0.02)}),
}


@pytest.mark.parametrize("name", CHARTS)
def test_chart_is_a_png_of_readable_size_and_the_same_every_time(name):
    png = CHARTS[name]()
    image = picture(png)
    assert 200 <= image.width <= 1600
    assert 150 <= image.height <= 1600
    assert len(image.getcolors(image.width * image.height)) > 5, "something is drawn"
    assert png == CHARTS[name]()


def test_heat_map_frames_the_edges_only():
    table = correlation()
    edge_color = tuple(int(figures.ORANGE[at : at + 2], 16) for at in (1, 3, 5))
    assert (table["binary"] > 0).any()
    assert edge_color in picture(figures.heat_map(table)).get_flattened_data()
    assert edge_color not in picture(figures.heat_map(table.assign(binary=0))).get_flattened_data()


def test_unmeasured_metric_leaves_a_gap_instead_of_failing():
    table = evaluation()
    table.loc[0, ["value", "low", "high"]] = np.nan
    picture(figures.metric_bars({"Backbone": table}))
    picture(figures.metric_bars({}))


def test_picture_grid_keeps_the_order_and_wraps_long_captions():
    red, blue = Image.new("RGB", (400, 300), "red"), Image.new("RGB", (30, 60), "blue")
    image = gallery(
        figures.picture_grid([(red, "first"), (blue, "a caption of many words " * 4)], columns=2, size=(100, 100))
    )
    assert close(image.getpixel((60, 60)), (255, 0, 0))
    assert close(image.getpixel((170, 60)), (0, 0, 255))
    short = gallery(figures.picture_grid([(red, "first"), (blue, "second")], columns=2, size=(100, 100)))
    assert image.height > short.height


def test_pair_gallery_puts_pairs_side_by_side():
    pair = (Image.new("RGB", (50, 50), "red"), Image.new("RGB", (50, 50), "blue"), "12 bits of 256, mirrored")
    image = gallery(figures.pair_gallery([pair], size=(100, 100)))
    assert close(image.getpixel((60, 60)), (255, 0, 0))
    assert close(image.getpixel((162, 60)), (0, 0, 255))


def test_empty_galleries_say_so_with_a_picture():
    gallery(figures.picture_grid([]))
    gallery(figures.pair_gallery([]))


def test_transparent_and_rotated_pictures_are_shown_as_people_see_them():
    clear = Image.new("RGBA", (10, 10), (255, 0, 0, 0))
    assert fitted(clear, (20, 20)).getpixel((10, 10)) == (255, 255, 255)
    wide = Image.new("RGB", (80, 40), "red")
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by a quarter to show
    buffer = io.BytesIO()
    wide.save(buffer, "JPEG", exif=exif)
    shown = fitted(buffer.getvalue(), (80, 80))
    assert shown.getpixel((40, 2))[1] < 60, "red reaches the top: upright"
    assert shown.getpixel((2, 40))[1] > 200, "ground at the left"


def test_data_uri_is_base64_of_a_png_or_jpeg():
    assert figures.data_uri(b"\x89PNG").startswith("data:image/png;base64,iVBORw")
    assert figures.data_uri(figures.picture_grid([])).startswith("data:image/jpeg;base64,/9j/")


def test_importing_figures_loads_neither_torch_nor_matplotlib():
    code = "import sys, modeling.figures; print([name for name in ('torch', 'matplotlib') if name in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_published_tables_add_up():
    assert sum(row.images for row in TABLE_2.values()) == PAPER_IMAGES
    for row in TABLE_2.values():
        assert row.main_share == pytest.approx(row.images / PAPER_IMAGES, abs=5.1e-5)
    assert sum(row.support for row in TABLE_5.values()) == 2139
    for table in (TABLE_3, TABLE_4):
        for metric in table["ml_gcn"]:
            assert table["basic_cnn"][metric] < table["backbone"][metric] < table["ml_gcn"][metric]


def test_paper_figures_only_where_labels_are_its_styles():
    styles = list(TABLE_2)
    assert paper_recalls(styles[:5]) is TABLE_3
    assert paper_recalls(styles[:7]) is TABLE_4
    assert paper_recalls(styles[:6]) == {}
    assert paper_recalls(["dress", "coat", "suit", "jacket", "blazer"]) == {}
    assert set(paper_label_recalls(["Casual", "Romantic", "Sexy", "Natural", "Ethnic"])) == {
        "Casual",
        "Romantic",
        "Sexy",
        "Ethnic",
    }
    assert paper_label_recalls(styles[:7]) == {}
