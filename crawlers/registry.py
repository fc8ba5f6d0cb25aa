"""The kinds of sources. A new network is its file in ``crawlers/networks`` and one line in ``_MODULES``."""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Union

from pydantic import Field

from crawlers.networks.base import NetworkFactory
from crawlers.sources import ArchiveSource, NetworkSource, SourceModel

_MODULES = (  # each names its settings SOURCE and its network NETWORK
    "mastodon",
    "bluesky",
    "flickr",
    "misskey",
)


def _networks() -> dict[type[NetworkSource], NetworkFactory]:
    modules = [import_module(f"crawlers.networks.{name}") for name in _MODULES]
    return {module.SOURCE: module.NETWORK for module in modules}


NETWORKS: Mapping[type[NetworkSource], NetworkFactory] = _networks()

if TYPE_CHECKING:
    Source = SourceModel
else:
    Source = Annotated[Union[(*NETWORKS, ArchiveSource)], Field(discriminator="kind")]
