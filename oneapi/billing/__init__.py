"""Quota: prices, token counts, and the ledger that holds and settles."""
