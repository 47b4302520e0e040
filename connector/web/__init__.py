"""Calls in: the Dataspace Protocol and the data plane for partners, the management API and health for operators."""
