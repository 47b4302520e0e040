"""A pulled file as a table, by its media type: CSV, Parquet, JSON and JSON lines.

The table libraries are the notebook's choice and are imported when one is asked for: `hospital-connector[notebook]`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connector.errors import Malformed, OperatorError

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

CSV, PARQUET, LINES, JSON = "CSV", "Parquet", "JSON lines", "JSON"
MEDIA = {
    "text/csv": CSV,
    "application/csv": CSV,
    "application/vnd.apache.parquet": PARQUET,
    "application/parquet": PARQUET,
    "application/x-parquet": PARQUET,
    "application/x-ndjson": LINES,
    "application/ndjson": LINES,
    "application/jsonl": LINES,
    "application/jsonlines": LINES,
    "application/x-jsonlines": LINES,
    "application/json": JSON,
}


def form(path: Path, media: str) -> str:
    """Return the form of a file. Raises Malformed where it is none of ours."""
    with path.open("rb") as file:
        if file.read(4) == b"PAR1":  # many servers call a Parquet file application/octet-stream
            return PARQUET
    found = MEDIA.get(media.partition(";")[0].strip().lower())
    if found is None:
        raise Malformed(f"data of type {media} is no table: use .bytes() or .save(path)")
    return found


def to_arrow(path: Path, media: str) -> pyarrow.Table:
    import pyarrow as pa

    match form(path, media):
        case "CSV":
            from pyarrow import csv

            return csv.read_csv(path)
        case "Parquet":
            from pyarrow import parquet

            return parquet.read_table(path)
        case "JSON lines":
            from pyarrow import json

            return json.read_json(path)
    return pa.Table.from_pylist(_records(path))


def to_polars(path: Path, media: str) -> polars.DataFrame:
    import polars

    match form(path, media):
        case "CSV":
            return polars.read_csv(path)
        case "Parquet":
            return polars.read_parquet(path)
        case "JSON lines":
            return polars.read_ndjson(path)
    return polars.DataFrame(_records(path))


def to_pandas(path: Path, media: str) -> pandas.DataFrame:
    import pandas

    match form(path, media):
        case "CSV":
            return pandas.read_csv(path)
        case "Parquet":
            return pandas.read_parquet(path)
        case "JSON lines":
            return pandas.read_json(path, lines=True)
    return pandas.DataFrame(_records(path))


NEEDS: dict[Callable[..., Any], str] = {to_arrow: "pyarrow", to_polars: "polars", to_pandas: "pandas"}


def check(read: Callable[..., Any]) -> None:
    """Raises OperatorError where the library that `read` needs is not installed."""
    library = NEEDS.get(read)
    if library is not None and find_spec(library) is None:
        raise OperatorError(f"{read.__name__} needs {library}: pip install 'hospital-connector[notebook]'")


def _records(path: Path) -> list[dict[str, Any]]:
    import json

    document = json.loads(path.read_bytes())
    if not isinstance(document, list) or not all(isinstance(row, dict) for row in document):
        raise Malformed("this JSON is no table: it is not an array of objects; use .bytes() or .save(path)")
    return document
