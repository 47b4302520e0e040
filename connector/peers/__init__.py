"""Calls out to other connectors."""
