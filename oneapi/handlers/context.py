"""What the handlers work with; built once by ``app``."""

from dataclasses import dataclass

from oneapi.config import Settings
from oneapi.relay.balance import Balances
from oneapi.relay.pipeline import Pipeline
from oneapi.relay.proxy import RawProxy
from oneapi.relay.tester import ChannelTester
from oneapi.store.store import Store


@dataclass(frozen=True, slots=True)
class Context:
    """The parts of the running program that a request may reach."""

    settings: Settings
    store: Store
    pipeline: Pipeline
    proxy: RawProxy
    tester: ChannelTester
    balances: Balances
