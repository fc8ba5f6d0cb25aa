"""Which images come next: laws of the order, and what each strategy puts first."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.studio.queue import is_blind, next_images
from labeling.studio.settings import LabelStudioServer
from labeling.tables import LABEL_TASKS, PRE_ANNOTATIONS, QUEUED_TASKS
from tests.labeling.labeling_samples import image_id, task_row

MONDAY = datetime(2024, 5, 6, tzinfo=UTC)
STRATEGIES = ("newest", "rare", "uncertain")


def task_table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=LABEL_TASKS)


def tasks_of(count: int, windows: int = 3) -> pa.Table:
    return task_table(*(task_row(number) | {"window": f"2019-07-{number % windows + 1:02}"} for number in range(count)))


def queued_table(*numbers: int, state: str = "queued", chosen_as: str = "newest") -> pa.Table:
    row = {"window": "2019-07-01", "chosen_as": chosen_as, "blind": False, "state": state, "queued_at": MONDAY}
    rows = [{"image_id": image_id(number), "task_id": number} | row for number in numbers]
    return pa.Table.from_pylist(rows, schema=QUEUED_TASKS)


def predicted(number: int, main: str, score: float, days: int = 0) -> dict[str, Any]:
    return {
        "image_id": image_id(number),
        "task_id": number,
        "model_version": "m",
        "main": main,
        "subs": [],
        "score": score,
        "blind": False,
        "predicted_at": MONDAY + timedelta(days=days),
    }


def prediction_table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=PRE_ANNOTATIONS)


def settings(strategy: Any = "newest", share: float = 0.0, open_tasks: int | None = None) -> LabelStudioServer:
    if strategy != "newest" and open_tasks is None:
        open_tasks = 1000  # more than any test has
    return LabelStudioServer(next_images=strategy, random_share=share, open_tasks=open_tasks)


@given(
    count=st.integers(0, 40),
    done=st.sets(st.integers(0, 39)),
    with_prediction=st.dictionaries(
        st.integers(0, 39), st.tuples(st.sampled_from(["Retro", "Casual", "Sexy"]), st.floats(0, 1))
    ),
    strategy=st.sampled_from(STRATEGIES),
    share=st.floats(0, 1),
    open_tasks=st.none() | st.integers(1, 30),
    open_now=st.integers(0, 40),
    seed=st.integers(0, 5),
    shuffle=st.randoms(use_true_random=False),
)
def test_laws(
    count: int,
    done: set[int],
    with_prediction: dict[int, tuple[str, float]],
    strategy: str,
    share: float,
    open_tasks: int | None,
    open_now: int,
    seed: int,
    shuffle: Any,
) -> None:
    tasks, queued = tasks_of(count), queued_table(*sorted(done))
    predictions = prediction_table(*(predicted(number, *said) for number, said in with_prediction.items()))
    wanted = settings(strategy, share, open_tasks)
    chosen = next_images(tasks, queued, predictions, open_now, wanted, seed)

    ids = [image for image, _ in chosen]
    free = {image_id(number) for number in range(count)} - {image_id(number) for number in done}
    room = len(free) if open_tasks is None else min(len(free), max(open_tasks - open_now, 0))
    assert len(ids) == len(set(ids)) == room
    assert set(ids) <= free
    for image, how in chosen:
        assert how in {"random", strategy if int(image, 16) in with_prediction else "newest"}
    for length in range(1, len(chosen) + 1):
        at_random = sum(how == "random" for _, how in chosen[:length])
        assert abs(at_random - share * length) < 1.001

    def shuffled(table: pa.Table) -> pa.Table:
        return table.take(pa.array(shuffle.sample(range(table.num_rows), table.num_rows), pa.int64()))

    assert next_images(shuffled(tasks), shuffled(queued), shuffled(predictions), open_now, wanted, seed) == chosen


def test_many_small_calls_hold_the_random_share_too() -> None:
    how = []
    for round_number in range(50):
        queued = queued_table(*range(round_number))
        (chosen,) = next_images(tasks_of(60), queued, prediction_table(), 4, settings("newest", 0.2, 5), 1)
        how.append(chosen.chosen_as)
    assert Counter(how) == {"newest": 40, "random": 10}


def test_the_newest_window_comes_first() -> None:
    chosen = next_images(tasks_of(9), queued_table(), prediction_table(), 0, settings(), 0)
    assert [int(image, 16) % 3 for image, _ in chosen] == [2, 2, 2, 1, 1, 1, 0, 0, 0]


def test_random_images_are_drawn_from_all_windows_whatever_the_strategy() -> None:
    chosen = next_images(tasks_of(300), queued_table(), prediction_table(), 0, settings("newest", 0.3, 100), 0)
    windows = Counter(int(image, 16) % 3 for image, how in chosen if how == "random")
    assert all(windows[window] >= 4 for window in range(3))  # of 30: fewer has a chance below 1 in 50
    assert {int(image, 16) % 3 for image, how in chosen if how == "newest"} == {2}


def test_rare_predicted_labels_come_first_and_the_queue_stays_balanced() -> None:
    said = ["Casual", "Casual", "Casual", "Casual", "Retro", "Retro", "Sexy"]
    predictions = prediction_table(*(predicted(number, main, 0.9) for number, main in enumerate(said)))
    queued = queued_table(0)  # a Casual one
    chosen = next_images(tasks_of(8, windows=1), queued, predictions, 0, settings("rare"), 0)
    mains = [dict(enumerate(said)).get(int(image, 16)) for image, _ in chosen]
    assert mains == ["Retro", "Sexy", "Casual", "Retro", "Casual", "Casual", None]
    labels = {image_id(20): "Sexy", image_id(21): "Sexy", image_id(0): "Retro"}
    chosen = next_images(tasks_of(8, windows=1), queued, predictions, 0, settings("rare"), 0, labels)
    assert said[int(chosen[0].image_id, 16)] == "Casual"  # experts said Sexy twice and corrected Casual to Retro


def test_withdrawn_images_do_not_count_for_their_label() -> None:
    predictions = prediction_table(predicted(0, "Casual", 0.9), predicted(1, "Casual", 0.9), predicted(2, "Retro", 0.9))
    chosen = next_images(tasks_of(3), queued_table(0, state="withdrawn"), predictions, 0, settings("rare"), 0)
    assert [image for image, _ in chosen] == [image_id(1), image_id(2)]


def test_the_latest_prediction_says_how_uncertain_an_image_is() -> None:
    predictions = prediction_table(
        predicted(1, "Retro", 0.2), predicted(1, "Retro", 0.9, days=1), predicted(2, "Sexy", 0.5)
    )
    chosen = next_images(tasks_of(4), queued_table(), predictions, 0, settings("uncertain"), 0)
    assert [image for image, _ in chosen] == [image_id(2), image_id(1), image_id(0), image_id(3)] or [
        image for image, _ in chosen
    ] == [image_id(2), image_id(1), image_id(3), image_id(0)]


def test_what_no_prediction_decided_is_newest() -> None:
    predictions = prediction_table(predicted(1, "Retro", 0.2))
    for strategy in ("rare", "uncertain"):
        chosen = next_images(tasks_of(3), queued_table(), predictions, 0, settings(strategy), 0)
        assert [how for _, how in chosen] == [strategy, "newest", "newest"]


def test_withdrawn_images_and_their_near_duplicates_take_no_place() -> None:
    tasks = task_table(task_row(1), task_row(2, aside=[5]), task_row(3), task_row(4))
    withdrawn = {image_id(1), image_id(5)}
    for share in (0.0, 1.0):
        chosen = next_images(
            tasks, queued_table(), prediction_table(), 0, settings("newest", share, 2), 0, withdrawn=withdrawn
        )
        assert {image for image, _ in chosen} == {image_id(3), image_id(4)}


@pytest.mark.parametrize("state", ["queued", "withdrawn", "deleted"])
def test_a_cluster_with_an_image_in_the_queue_is_not_queued_again(state: str) -> None:
    tasks = task_table(task_row(1, aside=[5]), task_row(2))
    chosen = next_images(tasks, queued_table(5, state=state), prediction_table(), 0, settings(), 0)
    assert [image for image, _ in chosen] == [image_id(2)]


def test_another_seed_gives_another_order() -> None:
    orders = {
        tuple(next_images(tasks_of(12, 1), queued_table(), prediction_table(), 0, settings(), seed)) for seed in (1, 2)
    }
    assert len(orders) == 2


@given(number=st.integers(0, 2**64), small=st.floats(0, 1), great=st.floats(0, 1))
def test_blind_stays_blind_when_the_share_grows(number: int, small: float, great: float) -> None:
    small, great = sorted((small, great))
    assert is_blind(image_id(number), great) or not is_blind(image_id(number), small)
    assert is_blind(image_id(number), 1.0)
    assert not is_blind(image_id(number), 0.0)


def test_about_the_share_is_blind() -> None:
    blind = sum(is_blind(image_id(number), 0.2) for number in range(5000))
    assert 880 < blind < 1120  # 1000 give or take 4 standard deviations
