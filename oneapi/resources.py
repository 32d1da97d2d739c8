"""Data files of the program: beside the source, or inside the executable.

A name is relative to the program's root, with slashes: ``oneapi/data/ratios.json``, ``web_dist/index.html``.
"""

import sys
from pathlib import Path

# PyInstaller unpacks a frozen program's files there.
ROOT = Path(getattr(sys, "_MEIPASS", Path(__file__).resolve().parent.parent))


def path(name: str) -> Path:
    """Where ``name`` lies; it need not exist."""
    return ROOT / name


def read(name: str) -> bytes:
    """The content of ``name``. Raises FileNotFoundError."""
    return path(name).read_bytes()
