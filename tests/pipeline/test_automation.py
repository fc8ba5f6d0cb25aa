"""What follows by itself from what: on the real graph's shape and conditions, a real instance, and no work."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from pipeline.automation import SENSORS, automation_names, rules
from pipeline.graph import build_definitions
from pipeline.reasons import FOLLOWED_TAG, REASON_TAG, TRAINING_TAG
from pipeline.settings import Settings, load_settings
from tests.pipeline.automation_case import Daemon, Made, World, bare
from tests.pipeline.small_case import SETTINGS, write_case
from tests.pipeline.studio_case import live_settings

ONE_SET = SETTINGS.replace('[label_sets.pair]\nlabels = ["Romantic", "Casual"]\nmembership = "main"\n', "")
WINDOWS = ("2019-07-01", "2019-07-08")
CRAWL = ("posts", "images", "deleted_posts", "crawl_counts", "image_hashes")
NEW_WINDOW = (*CRAWL, "unique_images", "similar_pairs", "label_tasks")
LABELS = (
    "annotations",
    "quarantined_annotations",
    "labels",
    "agreement",
    "main_confusion",
    "annotators",
    "label_frequencies",
)
ASK = frozenset({"training_requests", "training_request"})
DATA_SET = frozenset({"data_set", "split_balance", "word_vectors", "tau_sweep", "correlation_matrix", "data_card"})
MODEL = frozenset(
    {"model", "training_curves", "seed_runs", "scores", "evaluation", "slices", "reliability", "model_card"}
)
TRENDS = frozenset({"style_trends", "style_movements", "cooccurrence_changes", "drift"})
ASKED: Made = (ASK, "top-3")
TRAINED: list[Made] = [
    (DATA_SET, "top-3"),
    (MODEL, "basic_cnn|top-3"),
    (MODEL, "ml_gcn|top-3"),
    (frozenset({"suspicious_labels"}), "top-3"),
    (frozenset({"comparison", "champion"}), "top-3"),
]
REPORT: Made = (frozenset({"report"}), None)
PREDICTED: list[Made] = [(frozenset({"style_predictions"}), "2019-07-01…2019-07-08"), (TRENDS, None)]

Case = tuple[Daemon, World]


def order(one: Made) -> tuple[list[str], str]:
    """Sort what was asked for, where the order says nothing."""
    return sorted(one[0]), one[1] or ""


# Dagster's own tags of partitions with two dimensions
pytestmark = pytest.mark.filterwarnings("ignore:Non-compliant tag keys:DeprecationWarning")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return load_settings(write_case(tmp_path_factory.mktemp("case"), images=1, settings=ONE_SET))


@pytest.fixture(scope="module")
def definitions(settings: Settings) -> dg.Definitions:
    return build_definitions(settings)


@pytest.fixture
def start(settings: Settings, definitions: dg.Definitions) -> Iterator[Case]:
    """Everything is switched on over a graph without data."""
    world = World()
    with dg.DagsterInstance.ephemeral() as instance:
        daemon = Daemon(bare(definitions, world), settings, instance)
        assert daemon.settle() == []  # nothing is launched because it was switched on
        yield daemon, world


@pytest.fixture
def trained(start: Case) -> Case:
    """Everything was made once, by hand; nothing waits."""
    daemon, world = start
    for window in WINDOWS:
        assert daemon.make(*NEW_WINDOW, partition=window)
    made_by_hand = {FOLLOWED_TAG: "a person"}
    assert daemon.make(*LABELS, tags=made_by_hand)
    assert daemon.make(*ASK, *DATA_SET, partition="top-3", tags=made_by_hand)
    for architecture in ("basic_cnn", "ml_gcn"):
        assert daemon.make(*MODEL, partition=f"{architecture}|top-3", tags=made_by_hand)
    assert daemon.make("comparison", "champion", partition="top-3", tags=made_by_hand)
    for window in WINDOWS:
        assert daemon.make("style_predictions", partition=window, tags=made_by_hand)
    assert daemon.make(*TRENDS, tags=made_by_hand)
    assert daemon.make("report", tags=made_by_hand)
    daemon.settle()
    return daemon, world


def test_every_asset_has_a_rule(settings: Settings, definitions: dg.Definitions) -> None:
    names = {key.to_user_string() for key in definitions.resolve_asset_graph().get_all_asset_keys()}
    known = rules(settings)
    assert names - set(known) == set(), "an asset without a rule in pipeline/automation.py"
    files = {"word_vector_file", "backbone_weights", "duplicate_decisions", "label_file", "archive_files"}
    assert set(known) - names - files == set(), "a rule without an asset"
    assert all(rule.words for rule in known.values())
    assert all(rule.words.startswith("never: ") == (rule.condition is None) for rule in known.values())


def test_every_asset_of_a_live_server_has_a_rule(tmp_path: Path) -> None:
    live = live_settings(tmp_path, "Automation")
    names = {key.to_user_string() for key in build_definitions(live).resolve_asset_graph().get_all_asset_keys()}
    assert names - set(rules(live)) == set()


def test_conditions_stand_on_the_assets(settings: Settings, definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for name, rule in rules(settings).items():
        if graph.has(dg.AssetKey(name)):
            assert (graph.get(dg.AssetKey(name)).automation_condition is None) == (rule.condition is None), name


def test_everything_is_off_until_it_is_switched_on(settings: Settings, definitions: dg.Definitions) -> None:
    repository = definitions.get_repository_def()
    switches = automation_names(settings)
    assert {one.name for one in repository.schedule_defs} == set(switches.schedules)
    assert {one.name for one in repository.sensor_defs} == set(switches.sensors)
    assert all(one.default_status == dg.DefaultScheduleStatus.STOPPED for one in repository.schedule_defs)
    assert all(one.default_status == dg.DefaultSensorStatus.STOPPED for one in repository.sensor_defs)


def test_each_automated_asset_is_looked_at_by_one_sensor(settings: Settings, definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    repository = definitions.get_repository_def()
    seen = [key for name in SENSORS for key in repository.get_sensor_def(name).asset_selection.resolve(graph)]
    assert len(seen) == len(set(seen))
    assert set(seen) == {key for key in graph.get_all_asset_keys() if graph.get(key).automation_condition is not None}


def test_first_windows_and_labels_lead_to_a_champion(start: Case) -> None:
    daemon, world = start
    world.once.add("training_request")  # as the rule: without new labels no other training is due
    for window in WINDOWS:
        daemon.make(*NEW_WINDOW, partition=window)
    asked = daemon.settle()
    assert asked[:2] == [(frozenset(LABELS), None), ASKED]
    assert asked[2:7] == TRAINED
    assert sorted(asked[7:], key=order) == sorted([REPORT, *PREDICTED, ASKED, REPORT], key=order)


def test_labels_without_news_start_nothing(trained: Case) -> None:
    daemon, _ = trained
    daemon.make(*LABELS)
    assert daemon.settle() == []


def test_new_labels_only_ask_where_no_training_is_due(trained: Case) -> None:
    daemon, world = trained
    world.withheld.add("training_request")
    world.change("labels", "label_frequencies", to="2")
    daemon.make(*LABELS)
    assert daemon.settle() == [ASKED]


def test_a_training_that_is_due_goes_through_once_and_a_refusal_ends_it(trained: Case) -> None:
    daemon, world = trained
    world.change("labels", to="2")
    daemon.make(*LABELS)
    assert daemon.settle() == [ASKED, *TRAINED, REPORT]


def test_another_champion_looks_at_all_windows_in_one_run(trained: Case) -> None:
    daemon, world = trained
    world.change("labels", "champion", "style_predictions", "style_trends", "drift", to="2")
    daemon.make(*LABELS)
    asked = daemon.settle()
    assert asked[:6] == [ASKED, *TRAINED]
    # the other drift is asked about, too; the stub says that it is due once more, and then nothing is news
    assert sorted(asked[6:9], key=order) == sorted([REPORT, *PREDICTED], key=order)
    assert asked.count(PREDICTED[0]) == 1


def test_a_new_window_is_predicted_but_trains_nothing(trained: Case) -> None:
    daemon, world = trained
    world.withheld.add("training_request")
    world.change("image_hashes", "unique_images", "label_tasks", "style_predictions", to="2")
    daemon.make(*NEW_WINDOW, partition=WINDOWS[1])
    asked = daemon.settle()
    assert (frozenset(LABELS), None) in asked  # answers may count for others now
    assert PREDICTED[0] in asked
    assert (TRENDS, None) in asked
    assert not any(names & (DATA_SET | MODEL) for names, _ in asked)


def test_a_window_crawled_by_hand_is_hashed_and_compared(trained: Case) -> None:
    daemon, world = trained
    world.change("posts", "images", to="2")
    world.content["image_hashes", WINDOWS[0]] = "2"
    world.change("unique_images", to="2")
    daemon.make("posts", "images", "deleted_posts", "crawl_counts", partition=WINDOWS[0])
    asked = daemon.settle()
    assert asked[0] == (frozenset({"image_hashes"}), WINDOWS[0])
    assert asked[1] == (frozenset({"unique_images", "similar_pairs", "label_tasks"}), None)
    assert sum("label_tasks" in names for names, _ in asked) == 1


def test_comparison_waits_for_all_architectures(trained: Case) -> None:
    daemon, world = trained
    world.change("labels", to="2")
    daemon.make(*LABELS)
    assert daemon.tick() == [ASKED]
    daemon.execute()
    assert daemon.tick() == TRAINED[:1]
    daemon.execute()
    assert daemon.tick() == TRAINED[1:4]
    daemon.execute()  # the first architecture is done, the second one waits
    assert daemon.tick() == []
    daemon.execute()
    assert daemon.tick() == TRAINED[4:]


def test_models_wait_for_the_whole_graph_and_do_not_train_on_half_of_it(trained: Case) -> None:
    daemon, world = trained
    world.failing.add("tau_sweep")  # data set and word vectors are new by then, the graph is not
    world.change("labels", to="2")
    daemon.make(*LABELS)
    asked = daemon.settle()
    assert asked == [ASKED, TRAINED[0], TRAINED[3]]
    world.failing.clear()
    daemon.make("tau_sweep", "correlation_matrix", partition="top-3")  # a person puts it right
    assert daemon.settle() == [*TRAINED[1:3], TRAINED[4], REPORT]


def test_a_failed_architecture_holds_the_comparison_and_is_asked_for_again_at_the_daily_look(trained: Case) -> None:
    daemon, world = trained
    world.failing.add("scores")
    world.change("labels", to="2")
    daemon.make(*LABELS)
    assert daemon.settle() == [ASKED, *TRAINED[:4]]
    assert daemon.settle() == []  # not for ever
    world.failing.clear()
    daemon.now += timedelta(days=1)
    asked = daemon.settle()
    again = MODEL - {"model", "training_curves", "seed_runs"}  # what was made is not made again
    assert asked.pop(0) == (TRENDS, None)  # the labels of yesterday, too
    models = [one for one in asked if one[0] & MODEL]
    assert models == [(again, "basic_cnn|top-3"), (again, "ml_gcn|top-3")]
    assert [one for one in asked if one not in models and one != REPORT] == [TRAINED[4]]


@pytest.mark.parametrize("check", ["no_split_leakage", "metric_floor"])
def test_a_blocking_check_that_fails_stops_what_follows(trained: Case, check: str) -> None:
    daemon, world = trained
    world.wrong.add(check)
    world.change("labels", to="2")
    daemon.make(*LABELS)
    asked = daemon.settle()
    assert [one for one in asked if one[0] & MODEL] == (TRAINED[1:3] if check == "metric_floor" else [])
    latest = daemon.instance.fetch_materializations(dg.AssetKey("champion"), limit=10).records
    assert len(latest) == 1  # the one by hand
    daemon.now += timedelta(days=1)
    assert not any("champion" in names or names & MODEL for names, _ in daemon.settle())


def test_what_the_launcher_made_is_followed_by_the_launcher(trained: Case) -> None:
    daemon, world = trained
    world.change("labels", "champion", "drift", to="2")
    made = {FOLLOWED_TAG: "stylegraph run"}
    daemon.make(*LABELS, tags=made)
    daemon.make(*ASK, *DATA_SET, partition="top-3", tags=made)
    daemon.make("comparison", "champion", partition="top-3", tags=made)
    assert daemon.settle() == []


def test_a_training_that_a_person_asks_for_goes_through(trained: Case) -> None:
    daemon, _ = trained
    daemon.make(*ASK, partition="top-3")
    assert daemon.settle() == [*TRAINED, REPORT]


def test_trends_follow_labels_once_a_day(trained: Case) -> None:
    daemon, world = trained
    world.withheld.add("training_request")
    world.change("labels", to="2")
    daemon.make(*LABELS)
    assert daemon.settle() == [ASKED]
    world.change("labels", to="3")
    daemon.make(*LABELS)
    assert daemon.settle() == [ASKED]
    daemon.now += timedelta(days=1)
    assert daemon.settle() == [(TRENDS, None), REPORT]
    daemon.now += timedelta(days=1)
    assert daemon.settle() == []


def test_what_happens_while_a_run_is_under_way_is_news_to_its_assets(trained: Case) -> None:
    daemon, _ = trained
    daemon.make(*TRENDS)
    assert daemon.tick() == [REPORT]
    daemon.begin()
    assert daemon.tick() == []
    daemon.make("drift")
    assert daemon.tick() == []  # the report is still being written, without it
    daemon.execute()
    assert daemon.settle() == [REPORT]


def test_what_happens_between_being_asked_for_and_the_next_look_is_not_lost(trained: Case) -> None:
    """Trends are asked for because of labels; before anybody looks again, their run and that of predictions ended."""
    daemon, world = trained
    world.withheld.add("training_request")
    world.change("labels", to="2")
    daemon.make(*LABELS)
    daemon.settle()
    daemon.now += timedelta(days=1)
    assert daemon.tick() == [(TRENDS, None)]
    daemon.execute()
    world.change("style_predictions", to="2")
    daemon.make("style_predictions", partition=WINDOWS[0])
    assert daemon.settle() == [(TRENDS | {"report"}, None)]


def test_every_run_says_why_and_trainings_are_marked(trained: Case) -> None:
    daemon, world = trained
    world.change("labels", "champion", to="2")
    daemon.make(*LABELS)
    daemon.settle()
    launched = [run for run in daemon.instance.get_runs() if REASON_TAG in run.tags]
    assert {run.tags[REASON_TAG] for run in launched} == set(SENSORS.values())
    for run in launched:
        names = {key.to_user_string() for key in run.asset_selection or ()}
        assert (TRAINING_TAG in run.tags) == bool(names & (DATA_SET | MODEL | {"suspicious_labels"})), names
