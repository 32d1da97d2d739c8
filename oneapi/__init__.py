"""One API: a self-hosted gateway that manages and re-distributes access to LLM APIs."""

__version__ = "0.1.0"
