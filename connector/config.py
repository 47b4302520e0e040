"""Settings: `connector.toml`, overridden by `CONNECTOR_*` environment variables.

`CONNECTOR_PUBLIC_PORT=8443` sets `[public] port`; a list is comma-separated. Unknown keys are errors that name the file
and line and the nearest known key.
"""
