-- Who is told of events: each row is a place in the audit up to which its receiver has been told.
-- `subject` is the process whose events it gets; NULL: all. `wake_at` is when it may be tried again.

CREATE TABLE subscriptions (
    id TEXT PRIMARY KEY NOT NULL,
    subject TEXT,
    seq INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    wake_at INTEGER NOT NULL,
    last_error TEXT
) WITHOUT ROWID;
