"""Load for any DSP 2025-1 connector with an EDC-compatible management API: the same requests for every subject.

Run it against loopback only. Each measurement is bounded in time and counts what failed; latencies are of the whole use
case as a client of the management API sees it, from the first request until it reads the state it wanted.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp

EDC = "https://w3id.org/edc/v0.0.1/ns/"
CONTEXT = {"@vocab": EDC, "edc": EDC, "odrl": "http://www.w3.org/ns/odrl/2/"}
DSP_CONTEXT = "https://w3id.org/dspace/2025/1/context.jsonld"
EDC_DSP_CONTEXT = "https://w3id.org/edc/dspace/v0.0.1"
PROTOCOL = "dataspace-protocol-http:2025-1"
TOKEN = '{"region":"eu","clientId":"bench","audience":"bench"}'  # EDC's mock identity; our test identity reads it too


@dataclass
class Measured:
    """Seconds each one took, and how long all of them took together."""

    seconds: list[float] = field(default_factory=list)
    wall: float = 0.0
    size: int = 0  # bytes
    errors: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return len(self.seconds) / self.wall if self.wall else 0.0

    @property
    def mb_per_s(self) -> float:
        return self.size / self.wall / 1e6 if self.wall else 0.0

    def ms(self, quantile: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(quantile * len(ordered)))] * 1000 if ordered else float("nan")


@dataclass
class Pair:
    """A provider and a consumer, and a client of both."""

    http: aiohttp.ClientSession
    provider_management: str
    consumer_management: str
    provider_dsp: str
    provider_id: str = "provider"

    # --- seeding -----------------------------------------------------------------------------------------------------

    async def publish(self, name: str, count: int, address: dict[str, str], first: int = 0) -> None:
        """Offer `count` assets `name-0`... to everybody."""
        policy = {
            "@context": "http://www.w3.org/ns/odrl.jsonld", "@type": "Set", "permission": [{"action": "use"}],
            "prohibition": [], "obligation": [],
        }  # fmt: skip
        selector = {"@type": "Criterion", "operandLeft": EDC + "benchset", "operator": "=", "operandRight": name}
        await self._provide("/policydefinitions", "PolicyDefinition", f"{name}-policy", policy=policy)
        await self._provide(
            "/contractdefinitions", "ContractDefinition", f"{name}-cd", accessPolicyId=f"{name}-policy",
            contractPolicyId=f"{name}-policy", assetsSelector=[selector],
        )  # fmt: skip
        left = iter(range(first, first + count))

        async def worker() -> None:
            for i in left:
                await self._provide(
                    "/assets", "Asset", f"{name}-{i}",
                    properties={"name": f"asset {i}", "benchset": name, "contenttype": "application/octet-stream"},
                    dataAddress={"@type": "DataAddress", **address},
                )  # fmt: skip

        await asyncio.gather(*(worker() for _ in range(8)))

    async def _provide(self, path: str, kind: str, id: str, **body: object) -> None:
        await self.post(self.provider_management + path, {"@type": kind, "@id": id, **body}, (200, 409))

    async def post(self, url: str, body: dict[str, Any], ok: tuple[int, ...] = (200,)) -> Any:
        async with self.http.post(url, json={"@context": CONTEXT, **body}) as answer:
            text = await answer.text()
            if answer.status not in ok:
                raise RuntimeError(f"POST {url} -> {answer.status} {text[:300]}")
            return json.loads(text) if text else None

    # --- use cases ---------------------------------------------------------------------------------------------------

    async def catalog(self, limit: int) -> int:
        """Ask the provider for its catalogue as a peer does; return the size of the answer."""
        body = {
            "@context": [DSP_CONTEXT, EDC_DSP_CONTEXT], "@type": "CatalogRequestMessage",
            "filter": [{"@type": "QuerySpec", "offset": 0, "limit": limit}],
        }  # fmt: skip
        async with self.http.post(
            self.provider_dsp + "/catalog/request", json=body, headers={"Authorization": TOKEN}
        ) as answer:
            read = await answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{answer.status} {read[:200]!r}")
            return len(read)

    async def offer(self, asset: str) -> dict[str, Any]:
        only = {"@type": "Criterion", "operandLeft": EDC + "id", "operator": "=", "operandRight": asset}
        found = await self.post(
            self.consumer_management + "/catalog/request",
            {"@type": "CatalogRequest", **self._partner(), "querySpec": {"@type": "QuerySpec", "filterExpression": [only]}},
        )
        sets = _many(found.get("dataset", found.get("dcat:dataset")))
        dataset = next(d for d in sets if d["@id"] == asset)
        offer = _bare(_many(dataset.get("hasPolicy", dataset.get("odrl:hasPolicy")))[0])
        return offer | {
            "@context": "http://www.w3.org/ns/odrl.jsonld", "@type": "Offer", "assigner": self.provider_id, "target": asset,
        }  # fmt: skip

    async def negotiate(self, offer: dict[str, Any], poll: float) -> str:
        """Negotiate to FINALIZED; return the agreement's id."""
        url = self.consumer_management + "/contractnegotiations"
        begun = await self.post(url, {"@type": "ContractRequest", **self._partner(), "policy": offer})
        await self._until(f"{url}/{begun['@id']}", "FINALIZED", poll)
        async with self.http.get(f"{url}/{begun['@id']}") as answer:
            return str((await answer.json())["contractAgreementId"])

    async def agreement(self, offer: dict[str, Any]) -> str:
        return await insist(lambda: self.negotiate(offer, 0.02))

    async def transfer(self, asset: str, agreement: str, poll: float) -> str:
        """Transfer to STARTED; return the transfer process's id."""
        url = self.consumer_management + "/transferprocesses"
        body = {"@type": "TransferRequest", **self._partner(), "assetId": asset, "contractId": agreement}
        begun = await self.post(url, body | {"transferType": "HttpData-PULL"})
        await self._until(f"{url}/{begun['@id']}", "STARTED", poll)
        return str(begun["@id"])

    async def access(self, asset: str) -> tuple[str, str]:
        """Negotiate and transfer; return where the data is and the Authorization value for it."""
        agreement = await self.agreement(await self.offer(asset))
        transfer = await insist(lambda: self.transfer(asset, agreement, 0.02))
        for _ in range(200):
            async with self.http.get(f"{self.consumer_management}/edrs/{transfer}/dataaddress") as answer:
                if answer.status == 200:
                    edr = {key.removeprefix(EDC): value for key, value in (await answer.json()).items()}
                    return edr["endpoint"], edr["authorization"]
            await asyncio.sleep(0.05)
        raise RuntimeError("no EDR came")

    async def pull(self, endpoint: str, authorization: str) -> int:
        async with self.http.get(endpoint, headers={"Authorization": authorization}) as answer:
            body = await answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{answer.status} {body[:200]!r}")
            return len(body)

    def _partner(self) -> dict[str, str]:
        return {"protocol": PROTOCOL, "counterPartyAddress": self.provider_dsp, "counterPartyId": self.provider_id}

    async def _until(self, url: str, wanted: str, poll: float) -> None:
        async with asyncio.timeout(60):
            while True:
                async with self.http.get(url + "/state") as answer:
                    state = (await answer.json())["state"]
                if state == wanted:
                    return
                if state == "TERMINATED":
                    raise RuntimeError(f"{url} is TERMINATED")
                await asyncio.sleep(poll)


async def insist(job: Callable[[], Awaitable[str]]) -> str:
    """Do it until it succeeds, five times at most: EDC under load now and then ends a process by a race of its own."""
    for _ in range(4):
        try:
            return await job()
        except RuntimeError:
            await asyncio.sleep(1)
    return await job()


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {key.removeprefix("odrl:"): _bare(part) for key, part in value.items()}
    return [_bare(part) for part in value] if isinstance(value, list) else value


# --- measuring ---------------------------------------------------------------------------------------------------

Job = Callable[[], Awaitable[object]]


async def some(count: int, at_once: int, job: Job) -> Measured:
    """Do `job` `count` times, `at_once` at a time; what it returns, if a number, counts as bytes."""
    return await _work(at_once, iter(range(count)), job)


async def for_a_while(seconds: float, at_once: int, job: Job, warm: float = 1.0) -> Measured:
    """Do `job` over and over for `seconds`, after `warm` seconds that do not count."""
    await _work(at_once, _until(warm), job)
    return await _work(at_once, _until(seconds), job)


def _until(seconds: float) -> Iterator[None]:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        yield None


async def _work(at_once: int, todo: Iterable[object], job: Job) -> Measured:
    measured = Measured()

    async def worker() -> None:
        for _ in todo:
            began = time.perf_counter()
            try:
                done = await job()
            except Exception as error:
                measured.errors.append(repr(error)[:200])
                await asyncio.sleep(0.05)
            else:
                measured.seconds.append(time.perf_counter() - began)
                measured.size += done if isinstance(done, int) else 0

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(at_once)))
    measured.wall = time.perf_counter() - began
    return measured


def drain(url: str, authorization: str, size: int) -> int:
    """Pull `size` bytes with a plain socket and throw them away: an HTTP client would measure itself."""
    parts = urlsplit(url)
    request = (
        f"GET {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: {authorization}\r\n"
        "Connection: close\r\n\r\n"
    )
    buffer = bytearray(1 << 20)
    with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=60) as peer:
        peer.sendall(request.encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += peer.recv(4096)
        head, body = head.split(b"\r\n\r\n", 1)
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head[:200].decode("latin-1"))
        got = len(body)
        while count := peer.recv_into(buffer):
            got += count
    if got < size:  # more: the frames of a chunked answer
        raise RuntimeError(f"{got} bytes of {size}")
    return size


# --- the machine -------------------------------------------------------------------------------------------------


def resident(pids: Iterable[int]) -> float:
    """Return the largest resident size of the processes, in MiB."""
    return max(_status(pid, "VmRSS") for pid in pids)


def peak(pids: Iterable[int]) -> float:
    return max(_status(pid, "VmHWM") for pid in pids)


def _status(pid: int, name: str) -> float:
    with open(f"/proc/{pid}/status") as status:
        found = re.search(rf"{name}:\s+(\d+)", status.read())
    return int(found[1]) / 1024 if found else float("nan")


def cpu(pids: Iterable[int]) -> float:
    """Return the CPU seconds the processes have used."""
    used = 0.0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        used += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return used


def busy() -> float:
    """Return the CPU seconds the whole machine has been busy."""
    with open("/proc/stat") as stat:
        ticks = [int(field) for field in stat.readline().split()[1:]]
    return (sum(ticks[:8]) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
