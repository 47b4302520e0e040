-- Every record is whole in `record` (JSON); the columns beside it are what queries and the protocol search by.
-- Instants are microseconds since 1970 (UTC). Never change a migration that was released: add the next one.

CREATE TABLE negotiations (
    id TEXT PRIMARY KEY NOT NULL,
    role TEXT NOT NULL,
    peer TEXT NOT NULL,
    peer_pid TEXT,
    state TEXT,
    ended INTEGER NOT NULL,
    deadline INTEGER,
    dataset_id TEXT NOT NULL,
    agreement_id TEXT,
    correlation_id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    record TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX negotiations_by_peer_pid ON negotiations (peer, peer_pid);
CREATE INDEX negotiations_by_deadline ON negotiations (deadline) WHERE ended = 0;
CREATE INDEX negotiations_by_agreement ON negotiations (agreement_id);
CREATE INDEX negotiations_by_age ON negotiations (created_at, id);

CREATE TABLE transfers (
    id TEXT PRIMARY KEY NOT NULL,
    role TEXT NOT NULL,
    peer TEXT NOT NULL,
    peer_pid TEXT,
    state TEXT,
    ended INTEGER NOT NULL,
    deadline INTEGER,
    dataset_id TEXT NOT NULL,
    agreement_id TEXT NOT NULL,
    correlation_id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    record TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX transfers_by_peer_pid ON transfers (peer, peer_pid);
CREATE INDEX transfers_by_deadline ON transfers (deadline) WHERE ended = 0;
CREATE INDEX transfers_by_agreement ON transfers (agreement_id);
CREATE INDEX transfers_by_age ON transfers (created_at, id);

CREATE TABLE agreements (
    id TEXT PRIMARY KEY NOT NULL,
    negotiation_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    consumer TEXT NOT NULL,
    dataset_id TEXT NOT NULL,
    in_force INTEGER NOT NULL,
    signed_at INTEGER NOT NULL,
    record TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX agreements_by_negotiation ON agreements (negotiation_id);
CREATE INDEX agreements_by_dataset ON agreements (dataset_id);
CREATE INDEX agreements_by_age ON agreements (signed_at, id);

CREATE TABLE assets (
    id TEXT PRIMARY KEY NOT NULL,
    created_at INTEGER,
    record TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX assets_by_age ON assets (created_at, id);

CREATE TABLE policies (
    id TEXT PRIMARY KEY NOT NULL,
    created_at INTEGER,
    record TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX policies_by_age ON policies (created_at, id);

CREATE TABLE definitions (
    id TEXT PRIMARY KEY NOT NULL,
    access_policy_id TEXT NOT NULL,
    contract_policy_id TEXT NOT NULL,
    created_at INTEGER,
    record TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX definitions_by_access_policy ON definitions (access_policy_id);
CREATE INDEX definitions_by_contract_policy ON definitions (contract_policy_id);
CREATE INDEX definitions_by_age ON definitions (created_at, id);

-- `seq` is the order of sending within a process. `wake_at` is when the row may be taken: `next_try`, or the end of its
-- lease while somebody delivers it.
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    family TEXT NOT NULL,
    process_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    peer TEXT NOT NULL,
    url TEXT NOT NULL,
    message TEXT NOT NULL,
    correlation_id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    next_try INTEGER NOT NULL,
    give_up_at INTEGER,
    attempts INTEGER NOT NULL,
    last_error TEXT,
    last_status INTEGER,
    purpose TEXT,
    wake_at INTEGER NOT NULL
);
CREATE INDEX outbox_by_process ON outbox (process_id, seq);
CREATE INDEX outbox_by_wake ON outbox (wake_at);

-- An agreement may be used millions of times, and its uses are counted at each: the triggers keep the sum.
CREATE TABLE uses (
    id TEXT PRIMARY KEY NOT NULL,
    agreement_id TEXT NOT NULL,
    transfer_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    settled INTEGER NOT NULL,
    bytes INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE use_counts (
    agreement_id TEXT PRIMARY KEY NOT NULL,
    uses INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TRIGGER uses_reserved AFTER INSERT ON uses BEGIN
    INSERT INTO use_counts VALUES (NEW.agreement_id, 1) ON CONFLICT (agreement_id) DO UPDATE SET uses = uses + 1;
END;
CREATE TRIGGER uses_released AFTER DELETE ON uses BEGIN
    UPDATE use_counts SET uses = uses - 1 WHERE agreement_id = OLD.agreement_id;
END;

CREATE TABLE audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    event TEXT NOT NULL,
    correlation_id TEXT NOT NULL,
    subject TEXT NOT NULL,
    peer TEXT,
    detail TEXT NOT NULL
);
CREATE INDEX audit_by_subject ON audit (subject, seq);
CREATE TRIGGER audit_never_changed BEFORE UPDATE ON audit BEGIN
    SELECT RAISE(ABORT, 'audit records are never changed');
END;
CREATE TRIGGER audit_never_deleted BEFORE DELETE ON audit BEGIN
    SELECT RAISE(ABORT, 'audit records are never deleted');
END;
CREATE TRIGGER audit_never_replaced BEFORE INSERT ON audit WHEN EXISTS (SELECT 1 FROM audit WHERE seq = NEW.seq) BEGIN
    SELECT RAISE(ABORT, 'audit records are never replaced');
END;

CREATE TABLE secrets (
    name TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) WITHOUT ROWID;
