"""Which model the service uses, and the check it passes before a worker opens it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import CorredorError
from serving.settings import ServingSettings
from training.opening import check_opens

if TYPE_CHECKING:  # the supervisor verifies a model without the seconds that it takes to import what uses it
    from training.bundle import Bundle

MANIFEST = "bundle.json"
"""As in `training.sealed`."""

PACKED = Path(__file__).resolve().parent / "bundle"
"""Where a Bento carries its model."""
WORKSPACE = Path("corredor.toml")


def open_bundle(settings: ServingSettings) -> Bundle:
    """Return the model to serve, verified.

    In this order: the folder `CORREDOR_BUNDLE`; the champion of the workspace `CORREDOR_CONFIG`; the
    bundle packed into a Bento; the champion of the workspace in the current folder.

    Raises:
        CorredorError: there is none of these, or it cannot be opened.
    """
    folder = _folder(settings)
    if folder is None:
        return _champion(settings)
    from training.bundle import load_bundle

    return load_bundle(folder, verify=_identity(folder) != settings.bundle_verified)


def verified_id(settings: ServingSettings) -> str:
    """Return the id of the model to serve, which has been opened once in a process of its own.

    Raises:
        CorredorError: there is none, or it cannot be opened; see `open_bundle`.
    """
    folder = _folder(settings)
    if folder is None:
        return _champion(settings).id
    identity = _identity(folder)
    if identity != settings.bundle_verified or not identity:
        check_opens(folder, identity)
    return identity


def _folder(settings: ServingSettings) -> Path | None:
    if settings.bundle is None and settings.config is None and (PACKED / MANIFEST).is_file():
        return PACKED
    return settings.bundle


def _champion(settings: ServingSettings) -> Bundle:
    if settings.config is None and not WORKSPACE.is_file():
        raise CorredorError(
            "no model to serve. Name a bundle's folder in CORREDOR_BUNDLE or a workspace's corredor.toml in "
            "CORREDOR_CONFIG, or use `corredor serve`."
        )
    # imported here: MLflow takes seconds, and only a workspace needs it
    from training.config import load_config
    from training.registry import champion_bundle

    return champion_bundle(load_config(settings.config or WORKSPACE))


def _identity(folder: Path) -> str:
    """Return the id of the bundle in a folder; the seals of its parts are checked when it is loaded."""
    manifest = folder / MANIFEST
    return hashlib.sha256(manifest.read_bytes()).hexdigest() if manifest.is_file() else ""
