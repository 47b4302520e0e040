"""The Dataspace Protocol 2025-1, sans-IO: what may be said, what it changes. Nothing here waits, stores or sends."""
