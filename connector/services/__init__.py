"""The use cases, one file per noun. Async, but no socket and no SQL."""
