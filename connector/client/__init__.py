"""A client for programs and notebooks: a dataset of a partner's in a few lines, through the own connector.

    from connector.client import connect

    with connect("http://127.0.0.1:8081", api_key="...") as here:
        dataset = here.catalog("https://odense.example").dataset("gbsg2")
        agreement = dataset.negotiate(purpose="eu-ehds:HealthcareScientificResearch")
        print(agreement.terms, agreement.duties)
        frame = agreement.pull().to_polars()

`connector.client.aio` has the same with `await`. Errors are those of `connector.errors`: `Denied` has the other side's
reason, `Unavailable` means later. The command line is made of this.
"""

from __future__ import annotations

from connector.client.sync import Agreement, Catalog, Connection, Dataset, Management, Transfer, connect

__all__ = ["Agreement", "Catalog", "Connection", "Dataset", "Management", "Transfer", "connect"]
