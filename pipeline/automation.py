"""What follows by itself from what: one condition per asset, evaluated by Dagster's daemon.

Every asset has an entry, also where nothing follows: a test compares the table with the graph. docs/operations.md tells
the whole chain. Conditions are built from Dagster's own ones only, which the daemon can evaluate without our code.

How a condition reads: what must have happened *since it was last handled* (asked for, or made by somebody else), while
nothing that it is made from is being made, and no blocking check before it failed or is being made. What has happened
since it was asked for is new, also when its own run ends later. A failed run counts as handled: it is launched again
when something new happens, or at the next daily look, and so at most once a day.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import dagster as dg
from dagster import AutomationCondition as Condition

from labeling.studio.settings import LabelStudioServer
from pipeline.reasons import BY_CONDITION_TAG, FOLLOWED_TAG, REASON_TAG, TRAINING_TAG
from pipeline.settings import Settings

Sensor = Literal["what_follows", "what_trains", "what_predicts"]
WINDOWS_ON_TIME = dg.AssetCheckKey(dg.AssetKey("posts"), "windows_on_time")  # looked at once a day
INPUT_FILES = ("label_file", "archive_files", "duplicate_decisions", "word_vector_file", "backbone_weights")
SENSORS: Mapping[Sensor, str] = {  # the reason that stands on a run until the run itself knows a better one
    "what_follows": "something that it is made from has changed",
    "what_trains": "a training was due",
    "what_predicts": "there are new images or a new champion",
}


@dataclass(frozen=True)
class Rule:
    """When an asset is made by itself, in words and as a condition; None: never, and why."""

    condition: dg.AutomationCondition | None
    words: str
    sensor: Sensor = "what_follows"


class Switches(NamedTuple):
    """Names of what `stylegraph automation on` switches on."""

    schedules: tuple[str, ...]
    sensors: tuple[str, ...]


def rules(settings: Settings) -> Mapping[str, Rule]:
    """Return the rule of every asset by name; of the assets that speak to Label Studio only where there is one."""
    make = _Rules(settings)
    return {
        **make.files(),
        **make.collection(),
        **make.labels(),
        **(make.label_studio(settings.label_studio) if settings.label_studio is not None else {}),
        **make.training(),
        **make.operation(),
    }


def with_automation(assets: Sequence[dg.AssetsDefinition], settings: Settings) -> list[dg.AssetsDefinition]:
    """Return the assets with their conditions."""
    known = rules(settings)

    def with_condition(spec: dg.AssetSpec) -> dg.AssetSpec:
        rule = known.get(spec.key.to_user_string())
        return spec.replace_attributes(automation_condition=rule.condition) if rule and rule.condition else spec

    return [one.map_asset_specs(with_condition) for one in assets]


def automation_sensors(settings: Settings, assets: set[str]) -> list[dg.AutomationConditionSensorDefinition]:
    """Return the sensors that evaluate the conditions of ``assets`` (those of the graph); all are off at first."""
    known = rules(settings)
    return [
        dg.AutomationConditionSensorDefinition(
            name,
            target=_target(
                name, {key for key, rule in known.items() if rule.condition and rule.sensor == name} & assets
            ),
            default_status=dg.DefaultSensorStatus.STOPPED,
            minimum_interval_seconds=settings.automation.evaluate_seconds,
            emit_backfills=name == "what_predicts",  # all windows in one run, which loads the champion once
            run_tags={REASON_TAG: reason, **({TRAINING_TAG: "true"} if name == "what_trains" else {})},
            description=f"Launches what follows by itself, because {reason}; see docs/operations.md.",
        )
        for name, reason in SENSORS.items()
    ]


def _target(name: Sensor, assets: set[str]) -> dg.AssetSelection:
    chosen: dg.AssetSelection = dg.AssetSelection.assets(*sorted(assets))
    return chosen | dg.AssetSelection.checks(WINDOWS_ON_TIME) if name == "what_follows" else chosen


# What has happened to something that an asset is made from. What was made in the same run as the asset itself is no
# news to it, and neither is what somebody made who goes on with it himself (`stylegraph run`).
_NEWS = ~Condition.executed_with_root_target() & ~Condition.all_new_updates_have_run_tags(tag_keys={FOLLOWED_TAG})
_CHANGED = (Condition.data_version_changed() & _NEWS).with_label("has other content")
_MADE = (Condition.newly_updated() & _NEWS).with_label("was made")
_IN_THIS_RUN = Condition.will_be_requested()
_UNSAFE = Condition.any_deps_match(
    Condition.any_checks_match(Condition.check_failed() | Condition.in_progress(), blocking_only=True)
    & ~Condition.will_be_requested()
).with_label("a blocking check before it failed or is not done")
# That it was asked for, or that somebody else made it. That the run which was asked for ended says nothing: what has
# happened since that began is news to it. A look sees what has happened since the one before, and that is later than
# what the one before asked for: where it sees both, news wins.
_ASKED = Condition.newly_requested().with_label("asked for")
_HANDLED = (
    (Condition.newly_updated() & ~Condition.executed_with_tags(tag_keys={BY_CONDITION_TAG}))
    | Condition.initial_evaluation()
).with_label("made by somebody else")
_FILES = dg.AssetSelection.groups("inputs")  # files that people keep; nobody makes them


def _any(condition: dg.AutomationCondition, *names: str) -> dg.AutomationCondition:
    """Return that one of the named upstream assets meets ``condition``; without names: any of them."""
    matched = Condition.any_deps_match(condition)
    return matched.allow(dg.AssetSelection.assets(*names)) if names else matched


def _some(name: str) -> dg.AutomationCondition:
    """Return that at least one partition of an asset is there."""
    return Condition.asset_matches(name, ~Condition.missing())


class _Rules:
    """Makes the rules; ``look_cron`` is when failed ones are asked for again."""

    def __init__(self, settings: Settings) -> None:
        self.look_cron = settings.automation.look_cron
        self.server = settings.label_studio

    def when(self, trigger: dg.AutomationCondition, needs_all_but: Sequence[str] | None = None) -> Any:
        """Return a condition that is true once for each time that ``trigger`` becomes true, when the way is free.

        What failed last time is asked for again at the next tick of ``look_cron``: a process that was killed while
        nobody could take over its run must not leave a gap for ever.

        Args:
            trigger: what must have happened since it was last handled.
            needs_all_but: names of upstream assets that may be missing; None: all of them may.
        """
        again = Condition.execution_failed() & Condition.cron_tick_passed(self.look_cron)
        condition = (
            (
                trigger.since(_HANDLED | (_ASKED & ~trigger))
                | again.with_label("failed before the daily look").since_last_handled()
            )
            & ~Condition.any_deps_in_progress()
            & ~Condition.in_progress()
            & ~_UNSAFE
        )
        if needs_all_but is None:
            return condition
        spared = _FILES | dg.AssetSelection.assets(*needs_all_but) if needs_all_but else _FILES
        return condition & ~Condition.any_deps_missing().ignore(spared)

    def files(self) -> dict[str, Rule]:
        """Return the rules of the files that people keep."""
        return dict.fromkeys(INPUT_FILES, Rule(None, "never: people keep these files"))

    def collection(self) -> dict[str, Rule]:
        """Return the rules from the networks to the label tasks."""
        crawled = "never: the schedule crawl_windows asks for a window when it has ended, and again when incomplete"
        unique = Rule(
            self.when(_any(_CHANGED)), "a window has other pictures; once for all windows that are being crawled"
        )
        return {
            **dict.fromkeys(("posts", "images", "deleted_posts", "crawl_counts"), Rule(None, crawled)),
            "image_hashes": Rule(self.when(_any(_CHANGED), ()), "the window's posts or pictures are others"),
            **dict.fromkeys(("unique_images", "similar_pairs"), unique),
            "label_tasks": Rule(
                # not because of posts alone: their texts come in with the next window
                self.when(_any(_CHANGED | _IN_THIS_RUN, "unique_images")),
                "there are other unique images",
            ),
            "withdrawals": Rule(None, "never: the sensor withdrawals_waiting asks for it as soon as somebody withdrew"),
        }

    def labels(self) -> dict[str, Rule]:
        """Return the rules from the label source to the labels."""
        live = self.server is not None
        # a live server's answers are read by its sensor; here it is that images got or lost their canonical ones
        tasks = Condition.asset_matches("label_tasks", _CHANGED) if live else _any(_CHANGED, "label_tasks")
        read = Rule(
            self.when(tasks),
            "unique images are others, so that answers may count for others; new answers are read when the sensor "
            f"{label_sensor(live)} finds them",
        )
        settled = Rule(self.when(_any(_CHANGED | _IN_THIS_RUN)), "there are other annotations")
        names = ["annotations", "quarantined_annotations", *(["annotation_versions"] if live else [])]
        return {
            **dict.fromkeys(names, read),
            **dict.fromkeys(("labels", "agreement", "main_confusion", "annotators"), settled),
            "label_frequencies": Rule(self.when(_any(_CHANGED | _IN_THIS_RUN)), "there are other labels"),
        }

    def label_studio(self, server: LabelStudioServer) -> dict[str, Rule]:
        """Return the rules of what speaks to a live server."""
        queue, words = _any(_CHANGED, "label_tasks"), "there are other tasks"
        if server.open_tasks is not None:
            queue |= Condition.asset_matches("labels", _CHANGED)
            words += ", or labels came, so that experts have room for further ones"
        predict = _any(_CHANGED, "queued_tasks") | Condition.asset_matches("champion", _CHANGED)
        predicted = Rule(
            self.when(predict) & _some("champion"), "there is another champion, or further tasks stand before experts"
        )
        unused = Rule(None, "never: labels.pre_annotations is off, and labels.next_images needs no predictions")
        news = self.when(_any(_CHANGED | _IN_THIS_RUN))
        return {
            "queued_tasks": Rule(self.when(queue), words),
            "pre_annotations": predicted if server.pre_annotations or server.next_images != "newest" else unused,
            "prediction_acceptance": Rule(news, "there are other answers or predictions"),
            "returned_tasks": Rule(news, "there are wrong answers, conflicts or suspicious labels to return"),
        }

    def training(self) -> dict[str, Rule]:
        """Return the rules from the request for a training to the champion."""
        names = ("labels", "label_frequencies")
        ask = self.when(_any(_CHANGED, *names) | Condition.asset_matches("drift", _CHANGED), ())
        asked = Rule(ask, "labels, or a window's drift, are others; the schedule training_due asks once a day, too")
        due = Rule(self.when(_any(_MADE, "training_request"), ()), "a training is due", "what_trains")
        in_run = self.when(_any(_IN_THIS_RUN))
        made = self.when(_any(_MADE, "correlation_matrix"), ())
        trained = Rule(made, "a training was due, and its data set and graph are made", "what_trains")
        compared = self.when(_any(_MADE, "evaluation"), ()) & ~_any(Condition.execution_failed())
        champion = self.when(_any(_MADE | _IN_THIS_RUN, "comparison"), ())
        return {
            **dict.fromkeys(("training_requests", "training_request"), asked),
            **dict.fromkeys(("data_set", "split_balance", "word_vectors"), due),
            **dict.fromkeys(
                ("tau_sweep", "correlation_matrix", "data_card"),
                Rule(in_run, "in the run that makes the data set", "what_trains"),
            ),
            **dict.fromkeys(("model", "training_curves", "seed_runs"), trained),
            **dict.fromkeys(
                ("scores", "evaluation", "slices", "reliability", "model_card"),
                Rule(in_run, "in the run that trains the model", "what_trains"),
            ),
            "suspicious_labels": Rule(
                self.when(_any(_MADE, "data_set"), ()), "there is another data set", "what_trains"
            ),
            "comparison": Rule(compared, "all architectures of the label set are evaluated, and none failed"),
            "champion": Rule(champion, "in the run of the comparison, unless its check metric_floor stops it"),
            "ablation": Rule(None, "never: it answers a question that a person asks, and takes long"),
        }

    def operation(self) -> dict[str, Rule]:
        """Return the rules of what follows from a champion."""
        predict = self.when(_any(_CHANGED), ("champion",)) & _some("champion")
        daily = (
            _any(_CHANGED, "labels").since_last_handled()
            & Condition.cron_tick_passed(self.look_cron).since_last_handled()
        ).with_label("labels are others, and it is the time of the daily look")
        follow = self.when(
            _any(_CHANGED, "style_predictions") | daily, ("style_predictions", "champion", "data_set")
        ) & _some("style_predictions")
        followed = Rule(follow, "predictions are others; once a day where only labels are")
        report = self.when(_any(_MADE, "comparison", "champion", "style_trends", "style_movements", "drift"))
        return {
            "style_predictions": Rule(predict, "there are other images, or another champion", "what_predicts"),
            **dict.fromkeys(("style_trends", "style_movements", "cooccurrence_changes", "drift"), followed),
            "report": Rule(report, "models were compared, or trends are made anew"),
        }


def label_sensor(live: bool) -> str:
    """Return the name of the sensor that looks for new labels."""
    return "label_studio_work" if live else "label_file_work"


def automation_names(settings: Settings) -> Switches:
    """Return what is switched on and off together."""
    labels = label_sensor(settings.label_studio is not None)
    return Switches(
        schedules=("crawl_windows", "training_due"),
        sensors=(*SENSORS, labels, "withdrawals_waiting", "failed_runs", "failed_checks", "unsent_alerts"),
    )
