"""The fixtures of tests/model, which train small models: scoring needs them, too."""

import importlib.util
from pathlib import Path

_spec = importlib.util.spec_from_file_location(
    "model_fixtures", Path(__file__).parents[1] / "model" / "conftest.py"
)
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)
for _name in ("export_file", "raw", "train", "trained", "imputed", "priced"):
    globals()[_name] = getattr(_fixtures, _name)
