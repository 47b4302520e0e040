"""A data-space connector for hospitals. `docs/architecture.md` shows the rooms and who may import whom."""

__version__ = "0.1.0"
