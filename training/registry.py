"""The MLflow registry: every training a run and a version, one champion, moved under a lock."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.errors import CorredorError, unknown_name
from training.bundle import Bundle, load_bundle, save_bundle
from training.config import Config
from training.packaging import save_mlflow_model
from training.runs import Run, recorded_run, uninterrupted
from training.tracking import held, hide_secrets, open_tracking, sqlite_file, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion

CHAMPION, CHALLENGER = "champion", "challenger"
BUNDLE_TAG = "corredor.bundle"
INSIDE_MODEL = "artifacts/bundle"


class NoChampion(CorredorError):
    """Nothing is registered yet, or nothing of it is the champion."""


@dataclass(frozen=True)
class RegisteredVersion:
    """A version of the registered model."""

    name: str
    version: int
    bundle_id: str
    run_id: str
    aliases: tuple[str, ...]


def log_training(
    bundle: Bundle,
    config: Config,
    *,
    plots: Mapping[str, bytes | str] | None = None,
    fingerprints: Mapping[str, Any] | None = None,
) -> RegisteredVersion:
    """Record a training as an MLflow run and register its bundle as the challenger.

    The first version becomes the champion too. Registering is the last step: a process that ends
    before it leaves a run marked as failed or killed, and no version.

    Args:
        bundle: what was learnt.
        config: the workspace's configuration; it is recorded without its secrets.
        plots: file name (`calibration.png`, `lift.html`) -> its content.
        fingerprints: what identifies the data (table -> rows, hash); never ids or rows.

    Raises:
        CorredorError: the bundle does not open again, or the store cannot be used.
    """
    client = open_tracking(config)
    with tempfile.TemporaryDirectory(prefix="corredor-") as scratch, recorded_run(client, config) as run:
        saved = save_bundle(bundle, Path(scratch) / "bundle")
        load_bundle(Path(scratch) / "bundle")  # what could not be opened elsewhere is not registered
        _keep(config, saved.id, Path(scratch) / "bundle")
        with uninterrupted():
            run.describe(saved, plots or {}, fingerprints or {})
        model = _log_model(client, run, saved, Path(scratch))
        with held(config, "registering a version"), uninterrupted():
            return _register(client, config, run, saved, model)


def promote(config: Config, version: int | str = CHALLENGER, *, force: bool = False) -> RegisteredVersion:
    """Make a version, given by number or alias, the champion.

    Raises:
        CorredorError: there is no such version, its bundle does not open, it was not better than the
            baselines (unless `force`), or another process holds the registry.
    """
    client = open_tracking(config)
    with held(config, "promoting"):
        found = _find(client, config, version)
        bundle = _fetch(client, config, found)
        if not bundle.beats_baselines and not force:
            verdict = bundle.verdict or (
                "it was not judged" if bundle.beats_baselines is None else "it does not beat the baselines"
            )
            raise CorredorError(
                f"{config.model_name} version {found.version}: not promoted: {verdict.rstrip('.')}. "
                "Train on more data, or promote it anyway with --force."
            )
        client.set_registered_model_alias(config.model_name, CHAMPION, str(found.version))
        return _described(client.get_model_version(config.model_name, str(found.version)))


def champion_bundle(config: Config, version: int | str = CHAMPION) -> Bundle:
    """Return the champion, or the version of a number or another alias, fetched and verified.

    A copy is kept in the workspace (`.corredor/bundles`), so it is fetched and opened in a child
    process only the first time; its seals are checked every time.

    Raises:
        CorredorError: there is no champion yet, or it is not what was registered.
    """
    client = open_tracking(config)
    return _fetch(client, config, _find(client, config, version))


def champion_at_hand(config: Config) -> Bundle | None:
    """Return the champion, or None where there is none yet; no store is made to find out.

    Raises:
        CorredorError: there is one that cannot be fetched or opened.
    """
    database = sqlite_file(tracking_uri(config))
    if database is not None and not database.exists():
        return None
    try:
        return champion_bundle(config)
    except NoChampion:
        return None


def registered_versions(config: Config) -> list[RegisteredVersion]:
    """Return all versions, the newest first."""
    client = open_tracking(config)
    found = client.search_model_versions(f"name = '{config.model_name}'")
    # a search does not fill in the aliases
    full = [client.get_model_version(config.model_name, str(v.version)) for v in found]
    return sorted((_described(v) for v in full), key=lambda v: -v.version)


def _log_model(client: MlflowClient, run: Run, bundle: Bundle, scratch: Path) -> LoggedModel:
    """Upload the bundle as an MLflow model."""
    save_mlflow_model(bundle, scratch / "bundle", scratch / "model")
    with uninterrupted():
        logged = client.create_logged_model(
            run.experiment_id, name="corredor", source_run_id=run.id, tags={BUNDLE_TAG: bundle.id}
        )
    try:
        with uninterrupted():
            client.log_model_artifacts(logged.model_id, str(scratch / "model"))
            return client.finalize_logged_model(logged.model_id, "READY")
    except BaseException:
        with contextlib.suppress(Exception):
            client.finalize_logged_model(logged.model_id, "FAILED")
        raise


def _register(
    client: MlflowClient, config: Config, run: Run, bundle: Bundle, model: LoggedModel
) -> RegisteredVersion:
    from mlflow import MlflowException

    name = config.model_name
    # a server takes its own models by id only; with a database the place is ours to tell
    served = tracking_uri(config).startswith("http")
    source = f"models:/{model.model_id}" if served else model.artifact_location
    with contextlib.suppress(MlflowException):
        client.create_registered_model(name)
    run.end("FINISHED")
    version = client.create_model_version(
        name,
        source,
        run.id,
        tags={BUNDLE_TAG: bundle.id},
        description=bundle.verdict or None,
        model_id=model.model_id,
    )
    run.registered = True
    client.set_registered_model_alias(name, CHALLENGER, version.version)
    if CHAMPION not in client.get_registered_model(name).aliases:
        client.set_registered_model_alias(name, CHAMPION, version.version)
    return _described(client.get_model_version(name, version.version))


def _find(client: MlflowClient, config: Config, version: int | str) -> ModelVersion:
    from mlflow import MlflowException

    name, asked = config.model_name, str(version)
    try:
        if asked.isdigit():
            return client.get_model_version(name, asked)
        return client.get_model_version_by_alias(name, asked)
    except MlflowException:
        pass
    known = [str(v.version) for v in client.search_model_versions(f"name = '{name}'")]
    if not known:
        store = hide_secrets(tracking_uri(config))
        raise NoChampion(f"{name}: nothing is registered yet in {store}. Run `corredor train`.")
    if asked == CHAMPION:
        raise NoChampion(
            f"{name}: there is no champion. Choose a version by `corredor promote` ({', '.join(known)})."
        )
    raise unknown_name(f"version of {name}", asked, [*known, *client.get_registered_model(name).aliases])


def _fetch(client: MlflowClient, config: Config, version: ModelVersion) -> Bundle:
    identity = version.tags.get(BUNDLE_TAG, "")
    label = f"{version.name} version {version.version}"
    if not (len(identity) == 64 and set(identity) <= set("0123456789abcdef")):
        raise CorredorError(f"{label}: was not registered by Corredor. Promote one that was.")
    kept = _kept(config, identity)
    if kept.is_dir():
        try:
            bundle = load_bundle(kept, verify=False)
        except CorredorError:
            shutil.rmtree(kept, ignore_errors=True)  # a damaged copy: fetch it again
        else:
            if bundle.id == identity:
                return bundle
            shutil.rmtree(kept, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="corredor-") as scratch:
        fetched = _download(client, config, version, Path(scratch))
        bundle = load_bundle(fetched)
        if bundle.id != identity:
            raise CorredorError(
                f"{label}: the stored bundle is not the one that was registered. Train again."
            )
        _keep(config, identity, fetched)
    return bundle


def _kept(config: Config, identity: str) -> Path:
    return config.folder.absolute() / ".corredor" / "bundles" / identity


def _keep(config: Config, identity: str, opened: Path) -> None:
    """Keep a copy, in the workspace, of a bundle that has been opened in a child process."""
    kept = _kept(config, identity)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".keeping-", dir=kept.parent) as scratch:
        copy = Path(shutil.copytree(opened, Path(scratch) / "bundle"))
        with contextlib.suppress(OSError):  # it is there already
            copy.rename(kept)


def _download(client: MlflowClient, config: Config, version: ModelVersion, scratch: Path) -> Path:
    import mlflow
    from mlflow.artifacts import download_artifacts

    location = client.get_model_version_download_uri(version.name, str(version.version))
    label = f"{version.name} version {version.version}"
    local = _local_folder(location, config)
    if local is not None:
        place = local / INSIDE_MODEL
        if not place.is_dir():
            raise CorredorError(
                f"{label}: its files are not at {local} any more. Put them back, or train again."
            )
        return Path(shutil.copytree(place, scratch / "bundle", symlinks=True))
    try:
        return Path(
            download_artifacts(
                artifact_uri=f"{location}/{INSIDE_MODEL}",
                dst_path=str(scratch),
                tracking_uri=tracking_uri(config),
            )
        )
    except (mlflow.MlflowException, OSError) as error:
        raise CorredorError(
            f"{label}: cannot be fetched: {hide_secrets(str(error).partition(chr(10))[0])}"
        ) from None


def _local_folder(location: str, config: Config) -> Path | None:
    """Return the folder of a location on this machine; also when the whole workspace has moved."""
    from mlflow.utils.file_utils import local_file_uri_to_path
    from mlflow.utils.uri import is_local_uri

    if not is_local_uri(location):
        return None
    folder = Path(local_file_uri_to_path(location))
    if not folder.is_dir() and "mlruns" in folder.parts:
        inside = folder.parts[folder.parts.index("mlruns") :]
        moved = config.folder.absolute().joinpath(*inside)
        if moved.is_dir() and os.pardir not in inside:
            return moved
    return folder


def _described(version: ModelVersion) -> RegisteredVersion:
    return RegisteredVersion(
        name=version.name,
        version=int(version.version),
        bundle_id=version.tags.get(BUNDLE_TAG, ""),
        run_id=version.run_id or "",
        aliases=tuple(sorted(version.aliases)),
    )
