-- A message goes out in the words of the protocol version that its process began with.

ALTER TABLE outbox ADD COLUMN protocol TEXT NOT NULL DEFAULT 'dataspace-protocol-http:2025-1';
