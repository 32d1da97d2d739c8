"""The database: models, migrations, one writer thread, readers, and the in-memory index."""

from oneapi.store.db import DuplicateError, StoreError
from oneapi.store.redemptions import CodeUsedError
from oneapi.store.store import Store

__all__ = ["CodeUsedError", "DuplicateError", "Store", "StoreError"]
