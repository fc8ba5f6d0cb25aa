"""One module per network: how to page through its API and what a post is. A new network is one more line here."""

from importlib import import_module

from crawlers.networks.base import Network, NetworkFactory

_FACTORIES = {
    "mastodon": "crawlers.networks.mastodon:MastodonNetwork",
}


def network_factory(kind: str) -> NetworkFactory:
    """Return what builds the network of a kind of source; the module is imported when it is first asked for."""
    module, _, name = _FACTORIES[kind].partition(":")
    factory: NetworkFactory = getattr(import_module(module), name)
    return factory


__all__ = ["Network", "NetworkFactory", "network_factory"]
