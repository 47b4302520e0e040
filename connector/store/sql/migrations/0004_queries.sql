-- What the management API filters processes and agreements by.
CREATE INDEX negotiations_by_dataset ON negotiations (dataset_id);
CREATE INDEX negotiations_by_trace ON negotiations (correlation_id);
CREATE INDEX negotiations_by_change ON negotiations (updated_at);
CREATE INDEX transfers_by_dataset ON transfers (dataset_id);
CREATE INDEX transfers_by_trace ON transfers (correlation_id);
CREATE INDEX transfers_by_change ON transfers (updated_at);
CREATE INDEX agreements_by_provider ON agreements (provider);
CREATE INDEX agreements_by_consumer ON agreements (consumer);
