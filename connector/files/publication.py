"""`policies/` and `catalog/` as one thing: everything read and checked, then put in force as a whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from connector import config
from connector.config import Settings
from connector.dsp.offering import Asset, ContractDefinition, PolicyDefinition
from connector.errors import InvalidFiles, OperatorError, Problem
from connector.files import documents, policies
from connector.files.datasets import Dataset, DatasetReader
from connector.files.documents import Document

Suffixes = tuple[str, ...]
DATASETS: Suffixes = (".jsonld",)
MISTAKABLE: Suffixes = (".json", ".jsonld", ".yaml", ".yml")
REMEMBERED = 4096  # files

# A reload reads again only what has changed. Documents are values: nobody writes to them.
_document = lru_cache(maxsize=REMEMBERED)(documents.read)


@dataclass(frozen=True, slots=True)
class Published:
    """What the files say. `digest` is of their content: the same files give the same digest, wherever they are."""

    assets: tuple[Asset, ...]
    policies: tuple[PolicyDefinition, ...]
    definitions: tuple[ContractDefinition, ...]
    digest: str
    warnings: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Folders:
    """The bytes of every file that counts, by path, in order; `problems` has what could not be read.

    `others` look as if they were meant to be read.
    """

    policies: Mapping[Path, bytes]
    catalog: Mapping[Path, bytes]
    problems: tuple[Problem, ...] = ()
    others: tuple[Path, ...] = ()

    @property
    def digest(self) -> str:
        """A digest of names and content."""
        whole = sha256()
        for path, data in (*self.policies.items(), *self.catalog.items()):
            whole.update(path.parent.name.encode() + b"/" + path.name.encode() + b"\0" + sha256(data).digest())
        for problem in self.problems:
            whole.update(str(problem).encode())
        return whole.hexdigest()


def load(settings: Settings) -> Published:
    """Return what the files of `settings` publish.

    Raises:
        InvalidFiles: with every problem of every file.
    """
    return publish(collect(settings))


def collect(settings: Settings) -> Folders:
    """Return the bytes of the files in both folders."""
    problems: list[Problem] = []
    policy_files, dataset_files = (dict(_files(*folder, problems)) for folder in places(settings))
    try:
        others = [folder / name for folder, read in places(settings) for name in names(folder, MISTAKABLE, read)]
    except OSError:  # said above, or at the next look
        others = []
    return Folders(policy_files, dataset_files, tuple(problems), tuple(others))


def places(settings: Settings) -> tuple[tuple[Path, Suffixes], tuple[Path, Suffixes]]:
    """Return the folders of policies and of datasets, each with the suffixes of the files that count there."""
    return (settings.root / settings.policies, policies.SUFFIXES), (settings.root / settings.catalog, DATASETS)


def names(folder: Path, suffixes: Suffixes, but: Suffixes = ()) -> list[str]:
    """Return the names of the files in `folder` with one of `suffixes`, in order. Raises OSError.

    Hidden files do not count: they are editors' and Kubernetes' own.
    """
    visible = (name for name in os.listdir(folder) if not name.startswith((".", "#", "~")))
    return sorted(name for name in visible if name.endswith(suffixes) and not name.endswith(but))


def publish(folders: Folders) -> Published:
    """Return what `folders` say. Raises InvalidFiles."""
    reading = _Reading(problems=list(folders.problems))
    reading.read_policies(folders.policies)
    reading.read_catalog(folders.catalog)
    reading.notice(folders.others)
    problems = sorted(set(reading.problems), key=lambda p: (p.file or "", p.line or 0, p.column or 0, p.message))
    errors = tuple(problem for problem in problems if problem.level == "error")
    if errors:
        raise InvalidFiles(errors)
    return Published(
        tuple(dataset.asset for dataset in reading.datasets),
        tuple(made for _, _, made in reading.policies),
        tuple(one for dataset in reading.datasets for one in dataset.definitions),
        folders.digest,
        tuple(problems),
    )


def check(root: Path, environ: Mapping[str, str] = os.environ) -> list[Problem]:
    """Return everything that is wrong in the folder of a connector, and what is worth a warning."""
    problems: list[Problem] = []
    try:
        settings = config.load(root, environ)
    except InvalidFiles as error:
        problems += error.problems
        settings = Settings(root, participant="")  # the folders have their usual names more often than not
    if not problems:
        problems += _trust(settings)
    try:
        problems += load(settings).warnings
    except InvalidFiles as error:
        problems += error.problems
    return problems


@dataclass(slots=True)
class _Reading:
    problems: list[Problem]
    policies: list[tuple[str, Document, PolicyDefinition]] = field(default_factory=list)
    datasets: list[Dataset] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)  # names of policies that cannot be read: reported once

    def read_policies(self, files: Mapping[Path, bytes]) -> None:
        for path, data in files.items():
            called = {path.stem}
            try:
                document = _document(data, str(path))
                called |= policies.uids(document)
                self.policies.append((path.stem, document, policies.definition(document, path.stem)))
            except InvalidFiles as error:
                self.problems += error.problems
                self.broken |= called

    def read_catalog(self, files: Mapping[Path, bytes]) -> None:
        known = policies.names(self.policies, self.problems)
        for path, data in files.items():
            try:
                reader = DatasetReader(_document(data, str(path)), known, frozenset(self.broken))
            except InvalidFiles as error:
                self.problems += error.problems
                continue
            dataset = reader.read()
            self.problems += reader.problems
            if dataset is not None:
                self.datasets.append(dataset)
        self._unique()

    def notice(self, others: Iterable[Path]) -> None:
        """Warn of files that are not read although they look like it; one that is a dataset's data is in its place."""
        data = {dataset.asset.data_address.get("path") for dataset in self.datasets}
        for path in others:
            if str(path.resolve()) not in data:
                message = f"is not read; if it is meant to be, name it {path.stem}.jsonld"
                self.problems.append(Problem("file-ignored", message, str(path), level="warning"))

    def _unique(self) -> None:
        ids: dict[str, str] = {}
        offers: dict[str, str] = {}
        for dataset in self.datasets:
            file, id = dataset.document.file, dataset.asset.id
            if id and (other := ids.setdefault(id, file)) != file:
                message = f"the dataset {id} is described in {other} already"
                self.problems.append(dataset.document.problem("dataset-twice", message, ("@id",)))
            for number, definition in enumerate(dataset.definitions):
                offer, here = definition.offer_id, f"{file}#{number}"
                if offer and (other := offers.setdefault(offer, here)) != here:
                    message = (
                        f"the offer id {offer} is used in {other.rpartition('#')[0]}; it must be of one offer (DSP-043)"
                    )
                    self.problems.append(dataset.document.problem("offer-twice", message, ("policies",)))


def _files(folder: Path, suffixes: Suffixes, problems: list[Problem]) -> Iterable[tuple[Path, bytes]]:
    try:
        found = names(folder, suffixes)
    except OSError as error:
        message = f"the folder cannot be read ({error.strerror}); `connector init` makes it"
        problems.append(Problem("folder-missing", message, str(folder)))
        return
    for path in (folder / name for name in found):
        try:
            yield path, path.read_bytes()
        except OSError as error:
            problems.append(Problem("file-unreadable", f"cannot be read ({error.strerror})", str(path)))


def _trust(settings: Settings) -> Iterable[Problem]:
    """Yield what is wrong with the keys and with the trust file."""
    from connector.identity.keys import Keys
    from connector.identity.trust import read_trust

    if settings.identity.kind != "trust":
        return
    keys = settings.root / settings.identity.keys
    try:
        Keys.load(keys)
    except OperatorError as error:
        yield Problem("keys", str(error).removeprefix(f"{keys}: "), str(keys))
    try:
        read_trust(settings.root / settings.identity.trust_file)
    except InvalidFiles as error:
        yield from error.problems
