"""Where may a request go? Addresses of pictures come from strangers and must not reach into a private network.

Two gates, passed by every request, its redirects and robots.txt files alike: the text of the URL
(:func:`url_refusal`), and the addresses that its host name resolves to, checked on the very addresses that are then
connected to (:class:`PublicAddressResolver`), so that a name which changes its mind in between gains nothing.
"""

import ipaddress
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from twisted.internet.interfaces import IAddress, IHostResolution, IResolutionReceiver

PRIVATE_HOSTS_SETTING = "STYLEGRAPH_PRIVATE_HOSTS"
_LONGEST_URL = 8_000
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Say whether an IP address belongs to the public internet.

    Private, loopback, link-local (cloud metadata among them), multicast, reserved and unspecified ones do not, nor do
    IPv6 forms that carry such an IPv4 address.

    Raises:
        ValueError: if the text is not an IP address.
    """
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed in _NAT64:  # how an IPv6-only network reaches an IPv4 host
            return is_public(str(ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)))
        carried = (parsed.ipv4_mapped, parsed.sixtofour, *(parsed.teredo or ()))
        if any(inner is not None and not is_public(str(inner)) for inner in carried):
            return False
    return parsed.is_global and not parsed.is_multicast and not parsed.is_reserved


def url_host(url: str) -> str | None:
    """Return the host of a URL in lower case without port or closing dot, or None if it has none or is malformed."""
    try:
        return (urlsplit(url).hostname or "").casefold().rstrip(".") or None
    except ValueError:
        return None


def url_refusal(url: str, allow_hosts: frozenset[str]) -> tuple[str, str] | None:
    """Look at a URL alone, before any name is resolved.

    Returns:
        None if nothing speaks against it, else a short reason (``bad_url`` or ``forbidden_address``) and a line for
        people, which does not repeat the URL.
    """
    try:
        parts = urlsplit(url)
        host, port = url_host(url), parts.port
    except ValueError:
        return "bad_url", "the address is malformed"
    if len(url) > _LONGEST_URL:
        return "bad_url", f"the address is longer than {_LONGEST_URL} characters"
    if parts.scheme not in ("http", "https"):
        return "bad_url", f"only http and https are fetched, not {parts.scheme[:20] or 'an address without scheme'!r}"
    if host is None or port == 0:
        return "bad_url", "the address has no host or no valid port"
    if parts.username is not None or parts.password is not None:
        return "bad_url", "the address holds a user name or password"
    try:
        literal_is_public = is_public(host)
    except ValueError:
        return None  # a name: the resolver decides
    if not literal_is_public and host not in allow_hosts:
        return "forbidden_address", f"{host} is not a public address"
    return None


class _PublicOnly:
    """An IResolutionReceiver that passes a resolution on to its receiver, without the addresses that are not public."""

    def __init__(self, receiver: Any, host: str, refused: dict[str, str]) -> None:
        self._receiver, self._host, self._refused = receiver, host, refused

    def resolutionBegan(self, resolution: IHostResolution) -> None:  # noqa: N802
        self._receiver.resolutionBegan(resolution)

    def addressResolved(self, address: Any) -> None:  # noqa: N802
        if is_public(address.host):
            self._receiver.addressResolved(address)
        else:
            self._refused[self._host] = address.host

    def resolutionComplete(self) -> None:  # noqa: N802
        self._receiver.resolutionComplete()


class PublicAddressResolver:
    """Scrapy's resolver of host names (setting TWISTED_DNS_RESOLVER) that yields public addresses only.

    Hosts listed in the setting STYLEGRAPH_PRIVATE_HOSTS may have any address.
    """

    def __init__(self, reactor: Any, private_hosts: frozenset[str]) -> None:
        self._reactor, self._private_hosts = reactor, private_hosts
        self._resolver: Any = reactor.nameResolver
        self.refused: dict[str, str] = {}

    @classmethod
    def from_crawler(cls, crawler: Any, reactor: Any) -> "PublicAddressResolver":
        """Build the resolver from Scrapy's settings."""
        return cls(reactor, frozenset(crawler.settings.getlist(PRIVATE_HOSTS_SETTING)))

    def install_on_reactor(self) -> None:
        """Put this resolver in front of the reactor's own."""
        self._resolver = self._reactor.installNameResolver(self)

    def resolveHostName(  # noqa: N802
        self,
        resolutionReceiver: IResolutionReceiver,  # noqa: N803
        hostName: str,  # noqa: N803
        portNumber: int = 0,  # noqa: N803
        addressTypes: Sequence[type[IAddress]] | None = None,  # noqa: N803
        transportSemantics: str = "TCP",  # noqa: N803
    ) -> IHostResolution:
        """Resolve a host name (IHostnameResolver); addresses that are not public are left out and noted."""
        receiver: Any = resolutionReceiver
        host = hostName.casefold().rstrip(".")
        if host not in self._private_hosts:
            receiver = _PublicOnly(resolutionReceiver, host, self.refused)
        resolution: IHostResolution = self._resolver.resolveHostName(
            receiver, hostName, portNumber, addressTypes, transportSemantics
        )
        return resolution
