"""Outbound HTTP: a pooled client, and decoders without I/O."""

from oneapi.upstream.client import Client
from oneapi.upstream.proxies import ProxyRules
from oneapi.upstream.response import Response, Timeouts

__all__ = ["Client", "ProxyRules", "Response", "Timeouts"]
