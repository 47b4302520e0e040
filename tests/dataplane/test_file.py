"""Files as sources: what is answered, and what the path cannot be talked into."""

import gzip
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from connector.dataplane.file import FileSource
from connector.errors import Malformed, NotFound, Unavailable
from connector.ports import DataRequest, DataResponse

TEXT = b"id,age\n" + b"1,63\n" * 100_000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "lung.csv").write_bytes(TEXT)
    return tmp_path / "lung.csv"


async def ask(file: Path, method: str = "GET", path: str = "", query: str = "", **headers: str) -> DataResponse:
    asked = DataRequest(method, path, query, {name.replace("_", "-"): value for name, value in headers.items()})
    return await FileSource(file.parent).open({"type": "File", "path": file.name}, asked)


async def body(response: DataResponse) -> bytes:
    if response.file is not None:
        file, offset, count = response.file
        data = os.pread(file.fileno(), count, offset)
    else:
        data = b"".join([chunk async for chunk in response.chunks]) if response.chunks else b""
    if response.close:
        response.close()
    return data


async def test_a_file_is_sent_whole_with_what_a_client_needs_to_resume(file: Path) -> None:
    response = await ask(file)
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/csv"
    assert response.headers["Content-Length"] == str(len(TEXT))
    assert response.headers["Accept-Ranges"] == "bytes"
    assert response.headers["ETag"].startswith('"')
    assert await body(response) == TEXT


async def test_a_pull_that_broke_off_is_resumed_where_it_ended(file: Path) -> None:
    tag = (first := await ask(file)).headers["ETag"]
    await body(first)
    rest = await ask(file, range="bytes=7-", if_range=tag)
    assert (rest.status, rest.headers["Content-Range"]) == (206, f"bytes 7-{len(TEXT) - 1}/{len(TEXT)}")
    assert await body(rest) == TEXT[7:]


async def test_a_file_that_was_replaced_is_sent_whole_instead_of_mixed(file: Path) -> None:
    tag = (first := await ask(file)).headers["ETag"]
    await body(first)
    (new := file.with_suffix(".new")).write_bytes(TEXT[::-1])
    new.replace(file)
    again = await ask(file, range="bytes=7-", if_range=tag)
    assert again.status == 200
    assert await body(again) == TEXT[::-1]


async def test_what_is_sent_is_the_file_that_was_opened_whatever_takes_its_name(file: Path) -> None:
    response = await ask(file)
    (new := file.with_suffix(".new")).write_bytes(b"other")
    new.replace(file)
    assert response.intact()
    assert await body(response) == TEXT


async def test_a_file_written_to_while_it_is_sent_is_not_intact(file: Path) -> None:
    response = await ask(file)
    with file.open("ab") as writer:
        writer.write(b"2,70\n")
    assert not response.intact()
    await body(response)


async def test_head_tells_the_size_and_sends_nothing(file: Path) -> None:
    response = await ask(file, "HEAD")
    assert (response.status, response.headers["Content-Length"]) == (200, str(len(TEXT)))
    assert response.file is None
    assert response.chunks is None


async def test_a_range_beyond_the_end_tells_the_size(file: Path) -> None:
    response = await ask(file, range=f"bytes={len(TEXT)}-")
    assert (response.status, response.headers["Content-Range"]) == (416, f"bytes */{len(TEXT)}")


async def test_what_the_client_has_is_not_sent_again(file: Path) -> None:
    tag = (await ask(file, "HEAD")).headers["ETag"]
    response = await ask(file, if_none_match=tag)
    assert (response.status, response.headers["ETag"]) == (304, tag)


@pytest.mark.parametrize("accept", ["gzip", "br, gzip;q=0.5", "x-gzip", "deflate, GZIP"])
async def test_text_is_compressed_where_the_client_asks_for_it(file: Path, accept: str) -> None:
    """RFC 9110, 8.8.3: another representation, another strong tag."""
    response = await ask(file, accept_encoding=accept)
    assert response.headers["Content-Encoding"] == "gzip"
    assert response.headers["Vary"] == "Accept-Encoding"
    assert "Content-Length" not in response.headers
    assert response.headers["ETag"] != (await ask(file, "HEAD")).headers["ETag"]
    assert gzip.decompress(await body(response)) == TEXT
    assert (await ask(file, accept_encoding=accept, if_none_match=response.headers["ETag"])).status == 304


@pytest.mark.parametrize("accept", ["", "gzip;q=0", "gzip; q=0.0", "br", "gzipped"])
async def test_text_is_not_compressed_where_nobody_asks(file: Path, accept: str) -> None:
    assert "Content-Encoding" not in (await ask(file, "HEAD", accept_encoding=accept)).headers


async def test_a_range_is_of_the_plain_file_and_packed_formats_stay_as_they_are(file: Path) -> None:
    part = await ask(file, accept_encoding="gzip", range="bytes=0-0")
    assert "Content-Encoding" not in part.headers
    assert await body(part) == TEXT[:1]
    packed = file.rename(file.with_suffix(".parquet"))
    head = await ask(packed, "HEAD", accept_encoding="gzip")
    assert "Content-Encoding" not in head.headers
    assert head.headers["Content-Type"] == "application/vnd.apache.parquet"


async def test_what_fits_one_packet_is_not_compressed(file: Path) -> None:
    file.write_bytes(b"x" * 1_000)
    assert "Content-Encoding" not in (await ask(file, "HEAD", accept_encoding="gzip")).headers


async def test_a_file_that_changes_under_the_compressor_breaks_off(file: Path) -> None:
    response = await ask(file, accept_encoding="gzip")
    with file.open("ab") as writer:
        writer.write(b"2,70\n")
    with pytest.raises(Unavailable, match="changed"):
        await body(response)
    assert response.close
    response.close()


@pytest.mark.parametrize("path", ["/../secret", "/%2e%2e/secret", "/lung.csv", "//etc/passwd", "/x"])
async def test_nothing_is_below_a_file(file: Path, path: str) -> None:
    (file.parent.parent / "secret").write_text("s")
    with pytest.raises(NotFound):
        await ask(file, path=path)


async def test_a_query_is_refused_rather_than_ignored(file: Path) -> None:
    with pytest.raises(Malformed, match="takes no query"):
        await ask(file, query="patient=1")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_a_file_is_only_read(file: Path, method: str) -> None:
    response = await ask(file, method)
    assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")


async def test_a_missing_file_and_a_pipe_are_unavailable_and_do_not_hang(file: Path) -> None:
    with pytest.raises(Unavailable) as error:
        await ask(file.with_name("gone"))
    assert str(file.parent) not in str(error.value)
    os.mkfifo(file.with_name("pipe"))
    with pytest.raises(Unavailable):
        await ask(file.with_name("pipe"))
    with pytest.raises(Unavailable):
        await ask(file.parent.parent / file.parent.name)


@pytest.mark.parametrize(
    "address, words",
    [
        ({}, "needs a path"),
        ({"path": "gone.csv"}, "no file"),
        ({"path": "."}, "not a regular file"),
        ({"path": "lung.csv"}, None),
    ],
)
async def test_a_wrong_address_is_told_with_what_to_write(file: Path, address: Mapping[str, str], words: str | None) -> None:
    found = await FileSource(file.parent).check(address)
    assert found is None if words is None else words in (found or "")
