"""The small case with labels from a live Label Studio instead of a file."""

from collections.abc import Mapping
from pathlib import Path

from pipeline.settings import Settings, load_settings
from tests.pipeline.small_case import SETTINGS

FILE_LABELS = '[labels]\nkind = "csv"\npath = "labels.csv"\n'


def live_settings(
    folder: Path, title: str, labels: str = "", more: str = "", replaced: Mapping[str, str] | None = None
) -> Settings:
    """Write the settings of a case with a live project into ``folder``, and read them.

    ``labels`` are further lines of [labels], ``more`` of the last section, [evaluation]; in the end each key of
    ``replaced`` becomes its value.
    """
    section = f'[labels]\nkind = "label_studio"\nproject = "{title}"\nblind_share = 0.3\n{labels}\n'
    text = with_replaced(SETTINGS, {FILE_LABELS: section}) + more
    path = folder / "stylegraph.toml"
    path.write_text(with_replaced(text, replaced or {}), encoding="utf-8")
    return load_settings(path)


def with_replaced(text: str, replaced: Mapping[str, str]) -> str:
    """Return a text with some of it replaced; all of that must be there."""
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    return text
