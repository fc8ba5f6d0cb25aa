"""Whether what a label file calls a picture is the name of one that was withdrawn."""

from collections.abc import Callable

from pipeline.settings import Settings
from pipeline.storage import Storage
from pipeline.withdrawal import tombstones


def withdrawn_names(settings: Settings, storage: Storage) -> Callable[[str], bool]:
    """Return a function that says of an image id, address, path or file name whether its picture was withdrawn.

    Raises:
        CrawlError: something was withdrawn, and the key of the environment is missing or another one.
    """
    withdrawn = tombstones.withdrawn(settings, storage)
    return lambda name: withdrawn.has("name", name) or withdrawn.has("image", name)
