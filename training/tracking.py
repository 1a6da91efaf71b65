"""Where MLflow keeps runs and models: opened safely, told only what may leave the workspace."""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from filelock import FileLock, Timeout

from features.errors import CorredorError
from training.config import Config

if TYPE_CHECKING:
    from mlflow import MlflowClient

LOCK_SECONDS = 120.0


def tracking_uri(config: Config) -> str:
    """Return where runs and models are kept.

    `MLFLOW_TRACKING_URI` wins, then `[tracking] uri`, then SQLite in the workspace.
    """
    return (
        os.environ.get("MLFLOW_TRACKING_URI")
        or config.tracking.uri
        or f"sqlite:///{_home(config) / 'mlflow.db'}"
    )


def open_tracking(config: Config) -> MlflowClient:
    """Return a client of the tracking store; a new SQLite store is made first, whole or not at all.

    Raises:
        CorredorError: the store cannot be reached or has the schema of another MLflow.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    import mlflow
    from mlflow import MlflowClient

    uri = tracking_uri(config)
    database = sqlite_file(uri)
    try:
        if database is not None and not database.exists():
            with held(config, "making the tracking store"):
                if not database.exists():
                    _make_store(database)
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        # a client opens its store at the first question, and complains only then
        client.get_experiment_by_name(experiment_name(config))
    except mlflow.MlflowException as error:
        raise CorredorError(f"{hide_secrets(uri)}: {_first_line(error)}") from None
    except Exception as error:  # noqa: BLE001 - drivers have no common base class
        if type(error).__module__.partition(".")[0] not in {"sqlalchemy", "sqlite3", "requests", "psycopg2"}:
            raise
        raise CorredorError(
            f"{hide_secrets(uri)}: cannot be opened as an MLflow store: {_first_line(error)}"
        ) from None
    return client


def experiment_name(config: Config) -> str:
    """Return the experiment's name: `[tracking] experiment`, or the project's name."""
    return config.tracking.experiment or config.project.name


def open_experiment(client: MlflowClient, config: Config) -> str:
    """Return the experiment's id; made when it is not there."""
    from mlflow import MlflowException

    if inherited := os.environ.get("MLFLOW_EXPERIMENT_ID"):
        return inherited
    name = experiment_name(config)
    found = client.get_experiment_by_name(name)
    if found is None:
        own = sqlite_file(tracking_uri(config))
        place = str(own.parent / "mlruns") if own is not None else None
        try:
            return str(client.create_experiment(name, artifact_location=place))
        except MlflowException:  # another trainer was a moment faster
            found = client.get_experiment_by_name(name)
    if found is None or found.lifecycle_stage != "active":
        raise CorredorError(
            f"the experiment {name!r} was deleted. Restore it in MLflow, or set [tracking] experiment."
        )
    return str(found.experiment_id)


@contextlib.contextmanager
def held(config: Config, doing: str, *, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Hold the store's lock, which trainings and promotions of all processes here share.

    Raises:
        CorredorError: another process kept it for longer than `seconds`.
    """
    database = sqlite_file(tracking_uri(config))
    path = database.with_name(database.name + ".lock") if database else _home(config) / "mlflow.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        raise CorredorError(
            f"{path}: locked by another process while {doing}. Wait for it to end, then repeat."
        ) from None
    try:
        yield
    finally:
        lock.release()


def public_settings(config: Config) -> dict[str, Any]:
    """Return the configuration as it may be shown to whoever reads the tracking store.

    Addresses of databases are left out (`env:NAME` stays), and passwords wherever they are.
    """
    settings = config.model_dump(mode="json")
    for database in settings["databases"].values():
        if not database["uri"].startswith("env:"):
            database["uri"] = database["uri"].partition(":")[0] + ":(not shown)"
    return _hidden(settings)  # type: ignore[no-any-return]


_USER_INFO = re.compile(r"(?<=://)[^/@\s'\"]+@")
_ASSIGNED = re.compile(
    r"(?i)\b(password|passwd|pwd|secret|token|api_?key)(\s*[=:]\s*)('[^']*'|\"[^\"]*\"|[^\s&;,]+)"
)


def hide_secrets(text: str) -> str:
    """Return `text` without passwords in addresses or assignments.

    >>> hide_secrets("postgresql://ana:s3cret@db/crm?password=x")
    'postgresql://(not shown)@db/crm?password=(not shown)'
    """
    return _ASSIGNED.sub(r"\1\2(not shown)", _USER_INFO.sub("(not shown)@", text))


def _hidden(value: Any) -> Any:
    if isinstance(value, str):
        return hide_secrets(value)
    if isinstance(value, dict):
        return {key: _hidden(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_hidden(item) for item in value]
    return value


def sqlite_file(uri: str) -> Path | None:
    """Return the file behind an SQLite address, None for any other store."""
    parts = urlsplit(uri)
    if not parts.scheme.startswith("sqlite") or parts.path in {"", "/", "/:memory:"}:
        return None
    return Path(unquote(parts.path[1:])).absolute()


def _home(config: Config) -> Path:
    return config.folder.absolute()


def _make_store(database: Path) -> None:
    """Make the store beside its place and move it there, so that a killed process leaves no half of one."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    database.parent.mkdir(parents=True, exist_ok=True)
    for left in database.parent.glob(f".{database.name}.*"):  # of a process that was killed; the lock is ours
        left.unlink()
    making = database.with_name(f".{database.name}.{os.getpid()}")
    try:
        with quiet("mlflow.store.db.utils", "alembic"):
            # the store also makes MLflow's default experiment, which must not point to where we happen to be
            store = SqlAlchemyStore(f"sqlite:///{making}", str(database.parent / "mlruns"))
            store.engine.dispose()
        making.rename(database)
    finally:
        making.unlink(missing_ok=True)


@contextlib.contextmanager
def quiet(*names: str) -> Iterator[None]:
    """Let some loggers speak of errors only."""
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def _first_line(error: Exception) -> str:
    return hide_secrets(str(error).strip().partition("\n")[0])
