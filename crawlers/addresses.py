"""Where may a request go? Addresses of pictures come from strangers and must not reach into a private network.

Two gates, passed by every request, its redirects and robots.txt files alike: the text of the URL
(:func:`url_refusal`), and the addresses that its host name resolves to, checked on the very addresses that are then
connected to (:class:`PublicResolver`), so that a name which changes its mind in between gains nothing.
"""

import ipaddress
import socket
from urllib.parse import urlsplit

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult

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


class ForbiddenAddressError(OSError):
    """A host name leads to an address that is not public."""


class PublicResolver(AbstractResolver):
    """Resolves host names to public addresses only; hosts that are allowed beside them may have any address."""

    def __init__(self, allow_hosts: frozenset[str], resolver: AbstractResolver | None = None) -> None:
        self._allow_hosts = allow_hosts
        self._resolver = resolver or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host that may be connected to.

        Raises:
            ForbiddenAddressError: if it has addresses, but none of them is public.
            OSError: if it has none.
        """
        found = await self._resolver.resolve(host, port, family)
        if host.casefold().rstrip(".") in self._allow_hosts:
            return found
        public = [entry for entry in found if is_public(entry["host"])]
        if found and not public:
            raise ForbiddenAddressError(f"{host} has the address {found[0]['host']}, which is not public")
        return public

    async def close(self) -> None:
        """Close the resolver behind this one."""
        await self._resolver.close()
