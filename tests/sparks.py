"""One Spark session for all tests that need it, where pyspark, sqlglot and Java are there."""

from __future__ import annotations

import importlib.util
import os
import shutil

import pytest


def why_not() -> str | None:
    """Return why Spark cannot be run here, None if it can."""
    for package in ("pyspark", "sqlglot"):
        if importlib.util.find_spec(package) is None:
            return f"{package} is not installed (extra `spark`)"
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        return "there is no Java (17 or later)"
    return None


def needs_spark(test):
    """Mark a test, or a class of them, as one of those that start Spark."""
    marked = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")(test)
    return pytest.mark.slow(marked)
