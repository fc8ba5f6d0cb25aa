from typing import Any

from labeling import FASHION_STYLES, Taxonomy, labeling_config
from labeling.config import CANT_TELL, CONFLICT_MARK, CORRECT_MARK, NOT_FASHION, SUSPICIOUS_MARK
from labeling.studio.breaks import LabelUses, TaxonomyBreak, lost_labels, offered_labels
from labeling.studio.project import Project
from labeling.studio.tabs import missing_tabs, project_tabs

STYLES = Taxonomy(("Casual", "Retro", "Grunge"))


def annotation(main: str, *subs: str, was_cancelled: bool = False) -> dict[str, Any]:
    return {"was_cancelled": was_cancelled, "result": [choices("main", main), choices("subs", *subs)]}


def choices(control: str, *labels: str) -> dict[str, Any]:
    return {"from_name": control, "to_name": "image", "type": "choices", "value": {"choices": list(labels)}}


def test_a_task_opens_from_its_link() -> None:
    assert Project(7, "https://studio.example/projects/7").task_link(42) == (
        "https://studio.example/projects/7/data?task=42"
    )


def test_what_a_screen_offers_is_read_as_it_is_stored() -> None:
    for language in ("en", "ko"):
        offered = offered_labels(labeling_config(FASHION_STYLES, language))
        assert offered == {"main": {*FASHION_STYLES, NOT_FASHION, CANT_TELL}, "subs": set(FASHION_STYLES)}


def test_added_and_reordered_labels_lose_nothing() -> None:
    config = labeling_config(STYLES)
    assert lost_labels(config, STYLES) == set()
    assert lost_labels(config, Taxonomy(("Boho", "Grunge", "Retro", "Casual"))) == set()


def test_removed_and_renamed_labels_are_lost() -> None:
    config = labeling_config(STYLES, "ko")
    assert lost_labels(config, Taxonomy(("Casual", "Retro"))) == {"Grunge"}
    assert lost_labels(config, Taxonomy(("Casual", "Retro", "GRUNGE"))) == {"Grunge"}


def test_a_screen_made_by_people_loses_only_what_it_offers() -> None:
    config = '<View><Image name="i" value="$i"/><Choices name="other" toName="i"><Choice value="X"/></Choices></View>'
    assert lost_labels(config, STYLES) == set()


def test_uses_are_counted_by_annotation_and_kind() -> None:
    uses = LabelUses({"Grunge", "Retro", "Boho"})
    uses.add_annotations(1, [annotation("Grunge", "Casual"), annotation("Casual", "Grunge", "Retro")])
    uses.add_annotations(2, [annotation("Casual", "Grunge")])
    uses.add_drafts(3, [{"result": [choices("main", "Grunge"), choices("subs", "Grunge")]}])
    assert uses.breaks() == [
        TaxonomyBreak("Grunge", mains=1, subs=2, drafts=1, task_ids=(1, 2, 3)),
        TaxonomyBreak("Retro", mains=0, subs=1, drafts=0, task_ids=(1,)),
    ]


def test_examples_are_few() -> None:
    uses = LabelUses({"Grunge"})
    for task_id in range(100):
        uses.add_annotations(task_id, [annotation("Grunge"), annotation("Grunge")])
    assert uses.breaks() == [TaxonomyBreak("Grunge", mains=200, subs=0, drafts=0, task_ids=(0, 1, 2))]


def test_skipped_and_unreadable_answers_do_not_count() -> None:
    uses = LabelUses({"Grunge"})
    uses.add_annotations(1, [annotation("Grunge", was_cancelled=True), {"was_cancelled": False, "result": {"a": 1}}])
    uses.add_drafts(1, [{"result": None}])
    assert uses.breaks() == []


def test_the_first_tab_is_what_is_to_label_and_titles_differ() -> None:
    for language in ("en", "ko"):
        first, *others = project_tabs(language)
        (condition,) = first.data["filters"]["items"]
        assert (condition["filter"], condition["operator"]) == ("filter:tasks:completed_at", "empty")
        assert len({tab.title for tab in (first, *others)}) == 5


def test_each_mark_has_its_tab() -> None:
    _, disagreements, suspicious, came_back, everything = project_tabs("ko")
    marks = [[item["value"] for item in tab.data["filters"]["items"]] for tab in (disagreements, suspicious, came_back)]
    assert marks == [[CONFLICT_MARK], [SUSPICIOUS_MARK], [CONFLICT_MARK, SUSPICIOUS_MARK, CORRECT_MARK]]
    assert came_back.data["filters"]["conjunction"] == "or"
    assert everything.data["filters"]["items"] == []


def test_picture_and_attention_are_shown_in_every_tab() -> None:
    for tab in project_tabs("en"):
        hidden = tab.data["hiddenColumns"]["explore"]
        assert not {"tasks:data.image", "tasks:data.attention", "tasks:id"} & set(hidden)
        assert "tasks:data.image_id" in hidden


def test_tabs_that_people_changed_are_not_missing() -> None:
    wanted = project_tabs("en")
    views = [{"data": {"title": "All", "filters": {"conjunction": "and", "items": ["theirs"]}}}, {"data": {}}]
    assert [tab.title for tab in missing_tabs(wanted, views)] == [tab.title for tab in wanted if tab.title != "All"]
    assert missing_tabs(wanted, [{"data": {"title": tab.title}} for tab in wanted]) == []
