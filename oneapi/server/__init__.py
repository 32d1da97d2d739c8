"""Inbound HTTP: llhttp in an asyncio protocol, behind Tornado's connection seam."""

from oneapi.server.connection import Connection
from oneapi.server.headers import RequestHeaders
from oneapi.server.inflate import InflatingDelegate
from oneapi.server.limits import Limits
from oneapi.server.server import HTTPServer

__all__ = ["Connection", "HTTPServer", "InflatingDelegate", "Limits", "RequestHeaders"]
