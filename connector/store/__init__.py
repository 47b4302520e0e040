"""Where the connector's records are kept: `sqlite.SqliteStore` implements `ports.Store`."""
