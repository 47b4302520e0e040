"""Where bytes come from: one file per kind of data store, each a ports.Source. None knows of contracts or tokens."""
