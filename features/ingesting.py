"""Taking the sources in by bucket of customers: each file once, a part at a time, all of it or nothing."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from features.bucket_files import BucketFiles
from features.bucket_merging import in_few_stretches, merge_small, next_folder
from features.clock import now_us
from features.durable import sync
from features.errors import CorredorError
from features.files import file_digest, find_files
from features.ingested import FileFacts, Ingest, Manifest, Store, TableFacts, read_manifest
from features.queries import Query, goes_row_by_row
from features.settings import DataSettings
from features.sources import file_sources, open_sources, read_queries, readable_folders

BUCKETS = 64
MOST_BUCKETS = 4096
NEEDED = 1280 << 20
"""Bytes that taking files in needs, however large they are."""
_BESIDE_QUERIES = 768 << 20
"""Of these, what the rows on their way and the program take."""

Tell = Callable[[float, str], None]


@dataclass(frozen=True)
class Taken:
    """What an ingest did."""

    files: int
    """Files that were read."""
    known: int
    """Files that were there and had been read before."""
    tables: Mapping[str, TableFacts]
    whole: Sequence[str]
    """Of these tables, those that were told anew as a whole."""


def ingest(
    settings: DataSettings,
    folder: Path,
    store: Path,
    *,
    buckets: int | None = None,
    anew: bool = False,
    memory: int | None = None,
    extracted_us: int | None = None,
    tell: Tell | None = None,
) -> Taken:
    """Take the files in that a store does not have yet; whatever happens, it is as before or has all of them.

    Then small ingests become one (`features.bucket_merging`). What was replaced is removed by the next
    ingest, so that who reads the store meanwhile can go on; with `anew`, at once.

    A table whose query goes row by row through one source of files takes in new files alone. Any other
    (one that groups, joins, compares rows, or reads a database) is told anew as a whole when a file that
    it reads is new.

    Args:
        settings: the configuration.
        folder: the workspace.
        store: the folder of the store.
        buckets: how many there are to be, when the store is new; by default 64.
        anew: forget what the store has.
        memory: bytes that it may take; by default most of what the machine has, where a query groups or
            joins, else about what `NEEDED` says.
        extracted_us: the moment of the extraction (µs UTC), after which nothing can have happened.
        tell: told how far it is.

    Raises:
        CorredorError: a source cannot be read, its query was changed since the store was made, another
            ingest is at it, or the memory is less than any ingest takes.
    """
    if memory is not None and memory < NEEDED:
        raise CorredorError(
            f"--memory: taking sources in takes {NEEDED >> 20} MB, however large they are. Allow more."
        )
    folder = Path(folder).resolve()
    store.mkdir(parents=True, exist_ok=True)
    with _alone(store):
        manifest = None if anew else read_manifest(store)
        queries = read_queries(settings)
        asked = {name: _fingerprint(settings, query) for name, query in queries.items()}
        if manifest is None:
            manifest = Manifest(_checked(buckets or BUCKETS), asked)
        _check_same(manifest, asked, buckets)
        found = source_files(settings, folder, queries, manifest)
        new = new_files(found, manifest)
        jobs = _jobs(queries, found, new, manifest)
        place = next_folder(store)
        if not anew:  # else what is there stays until there is another
            _remove_unnamed(store, manifest)
        until = now_us() if extracted_us is None else extracted_us
        with BucketFiles(store / place, manifest.buckets) as files:
            for done, job in enumerate(jobs):
                files.begin(job.table, job.inputs)
                for at, chosen in enumerate(job.groups):
                    rows = _take(files, settings, folder, queries[job.table], job, chosen, until, memory)
                    if tell is not None:
                        share = (done + (at + 1) / len(job.groups)) / len(jobs)
                        tell(share, f"{rows:,} rows of {job.table}")
            files.end()
        taken = Taken(
            sum(map(len, new.values())),
            sum(map(len, found.values())) - sum(map(len, new.values())),
            files.facts,
            [job.table for job in jobs if job.source is None],
        )
        named = [manifest]
        if jobs:
            added = Ingest(place, tuple(f for some in new.values() for f in some), files.facts)
            manifest = _with(manifest, added, taken.whole)
            _check(Store(store, manifest), files.facts)
            settled = in_few_stretches(Store(store, manifest), added)
            manifest = replace(manifest, ingests=(*manifest.ingests[:-1], settled))
            sync(store / "ingests")
            manifest.write(store)
            named.append(manifest)
        manifest = merge_small(store, manifest, tell)
        _remove_unnamed(store, manifest, *named)
        return taken


def _with(manifest: Manifest, added: Ingest, whole: Collection[str]) -> Manifest:
    """Return what is in a store with an ingest more, which tells some tables anew as a whole."""
    before = tuple(
        replace(i, tables={name: facts for name, facts in i.tables.items() if name not in whole})
        for i in manifest.ingests
    )
    return replace(manifest, ingests=(*before, added))


def _take(
    files: BucketFiles,
    settings: DataSettings,
    folder: Path,
    query: Query,
    job: _Job,
    chosen: FileFacts | None,
    until: int,
    memory: int | None,
) -> int:
    """Take what a query gives of one file, or of all; return how many rows of the table came so far."""
    some = {} if chosen is None else {chosen.source: [folder / chosen.path]}
    disk = (files.folder / "reading").resolve()
    disk.mkdir()
    try:
        with open_sources(
            settings,
            folder,
            {job.table: query},
            chosen=some,
            quarantine=files.quarantine(),
            disk=disk,
            memory=None if memory is None else memory - _BESIDE_QUERIES,
        ) as opened:
            return files.take(opened, query, settings, until)
    finally:
        shutil.rmtree(disk)


def source_files(
    settings: DataSettings, folder: Path, queries: Mapping[str, Query], manifest: Manifest
) -> dict[str, list[FileFacts]]:
    """Return the files of every source that the queries read, each content once.

    A file of the same name, size and time as one that was ingested is not read again to know it.
    """
    folders = readable_folders(settings, folder)
    wanted = frozenset().union(*(query.relations for query in queries.values()))
    seen = {(f.source, f.path, f.size, f.mtime_ns): f for f in manifest.files().values()}
    found: dict[str, list[FileFacts]] = {}
    for name, (_, patterns) in file_sources(settings, queries).items():
        source = name.lower()
        if source not in wanted:
            continue
        by_content: dict[str, FileFacts] = {}
        for pattern in patterns:
            for path in find_files(pattern, where=f"[files.{name}]", folder=folder, folders=folders):
                at = path.stat()
                called = str(path.relative_to(folder) if path.is_relative_to(folder) else path)
                facts = seen.get((source, called, at.st_size, at.st_mtime_ns))
                if facts is None:
                    facts = FileFacts(source, called, file_digest(path), at.st_size, at.st_mtime_ns)
                by_content.setdefault(facts.sha256, facts)
        found[source] = list(by_content.values())
    return found


def new_files(found: Mapping[str, Sequence[FileFacts]], manifest: Manifest) -> dict[str, list[FileFacts]]:
    """Return the files of each source that a store does not have."""
    known = manifest.files()
    return {s: [f for f in files if (s, f.sha256) not in known] for s, files in found.items()}


def check_fresh(settings: DataSettings, folder: Path, store: Store) -> None:
    """Check that a store holds what the sources do now.

    Raises:
        CorredorError: a file is not ingested yet, or a query was changed since.
    """
    queries = read_queries(settings)
    _check_same(store.manifest, {n: _fingerprint(settings, q) for n, q in queries.items()}, None)
    found = source_files(settings, Path(folder).resolve(), queries, store.manifest)
    late = [f.path for files in new_files(found, store.manifest).values() for f in files]
    if late:
        raise CorredorError(
            f"{len(late)} files are not ingested yet (first: {late[0]}). Run `corredor ingest`, or remove "
            f"{store.folder} to read the files themselves."
        )


@dataclass(frozen=True)
class _Job:
    """One table to take in: alone from the new files of a source, one by one, or as a whole."""

    table: str
    source: str | None
    groups: Sequence[FileFacts | None]
    inputs: str = ""


def _jobs(
    queries: Mapping[str, Query],
    found: Mapping[str, Sequence[FileFacts]],
    new: Mapping[str, Sequence[FileFacts]],
    manifest: Manifest,
) -> list[_Job]:
    jobs = []
    for name, query in queries.items():
        (source, *_) = query.relations or ("",)
        if source in found and goes_row_by_row(query, set(found)):
            if new[source]:
                jobs.append(_Job(name, source, new[source]))
            continue
        contents = {s: sorted(f.sha256 for f in found[s]) for s in sorted(query.relations & set(found))}
        inputs = hashlib.sha256(json.dumps(contents).encode()).hexdigest()
        told_of_all = query.relations <= set(found)  # a database does not say whether it changed
        if not told_of_all or [facts.inputs for _, facts in manifest.of(name)] != [inputs]:
            jobs.append(_Job(name, None, [None], inputs))
    return jobs


def _fingerprint(settings: DataSettings, query: Query) -> str:
    """Return what tells a query, and how its files are read, from any other."""
    files = {n: s.model_dump(mode="json") for n, s in settings.files.items() if n.lower() in query.relations}
    databases = {
        n: d.model_dump(mode="json")
        for n, d in settings.databases.items()
        if {t.lower() for t in d.tables} & query.relations
    }
    facts = [query.sql, files, databases, settings.project.timezone]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _check_same(manifest: Manifest, asked: Mapping[str, str], buckets: int | None) -> None:
    if dict(manifest.queries) != dict(asked):
        raise CorredorError(
            "the queries or files of [sources] were changed since they were ingested. "
            "Run `corredor ingest --anew`."
        )
    if buckets not in (None, manifest.buckets):
        raise CorredorError(
            f"--buckets {buckets}: there are {manifest.buckets}. To change that: `corredor ingest --anew`."
        )


def _checked(buckets: int) -> int:
    if not 1 <= buckets <= MOST_BUCKETS:
        raise CorredorError(f"--buckets {buckets}: choose 1 to {MOST_BUCKETS}.")
    return buckets


def _check(after: Store, changed: Collection[str]) -> None:
    """Check what only the rows of all ingests together can break, before it becomes the word on the store.

    Raises:
        CorredorError: there are no touchpoints, columns of different types, or customers told apart.
    """
    for table in after.manifest.tables():
        after.schema(table)
    if not sum(after.rows):
        raise CorredorError("[sources] touchpoints: no row is left. See the quarantine.")
    if "customers" in changed:
        for bucket in range(after.manifest.buckets):
            after.tables([bucket], only=("customers",))


def _remove_unnamed(store: Path, *manifests: Manifest) -> None:
    """Remove the folders that no manifest names: of killed ingests, and of what was replaced."""
    named: dict[str, set[str]] = {}
    for ingest in (i for manifest in manifests for i in manifest.ingests):
        named.setdefault(Path(ingest.folder).name, set()).update(ingest.tables)
    for folder in (store / "ingests").glob("[0-9]*"):
        if folder.name not in named:
            shutil.rmtree(folder)
            continue
        for table in folder.iterdir():
            if table.name not in named[folder.name]:
                shutil.rmtree(table)


@contextmanager
def _alone(store: Path) -> Iterator[None]:
    try:
        with FileLock(store / "lock", timeout=0):
            yield
    except Timeout:
        raise CorredorError(f"{store}: another ingest is at it. Wait for it to end.") from None
