"""A process that scores starts without what it does not use, and can still import it."""

import subprocess
import sys

CODE = """
import sys
from features.lean import start_lean
start_lean()
assert "numba" in sys.modules and "pandas" not in sys.modules and "scipy.linalg" not in sys.modules
import pandas as pd
import pyarrow as pa
import scipy.linalg
assert pa.table({"a": [1, 2]}).to_pandas()["a"].sum() == 3
assert pa.array(pd.Series(["x", None])).to_pylist() == ["x", None]
assert scipy.linalg.det([[2.0]]) == 2.0
print("all there")
"""


def test_what_is_not_found_at_the_start_is_there_for_who_imports_it_later():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=120)
    assert done.stdout == "all there\n", done.stderr
