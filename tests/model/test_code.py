import ast
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from slarisk.model import code
from slarisk.model.code import copy_model_code, list_model_code
from slarisk.tracking.log import _REQUIREMENTS

SRC = Path(__file__).parents[2] / "src"
ROOMS = {"config.py", "constraints.py", "errors.py"}
ROOMS |= {"decisions", "exports", "learning", "model", "tickets", "times"}


def test_the_loader_travels_and_no_room_it_does_not_need():
    names = list_model_code()

    assert {"slarisk/__init__.py", "slarisk/model/__init__.py"} <= set(names)
    assert {"slarisk/model/pyfunc.py", "slarisk/model/bundle.py"} <= set(names)
    assert {name.split("/")[1] for name in names} <= {"__init__.py", *ROOMS}
    assert len(names) <= 52
    assert all(name.endswith(".py") for name in names)


def test_imports_in_functions_travel_and_those_for_type_checkers_do_not(tmp_path, monkeypatch):
    files = {
        "slarisk/__init__.py": "",
        "slarisk/model/__init__.py": "",
        "slarisk/model/pyfunc.py": """
from typing import TYPE_CHECKING
import slarisk.model.plain
from slarisk.model import named
if TYPE_CHECKING:
    from slarisk.model import for_types
else:
    from slarisk.model import at_runtime
def load():
    from slarisk.deep.late import thing
""",
        "slarisk/deep/__init__.py": "import slarisk.model.from_package",
        "slarisk/deep/late.py": "import numpy",
    }
    others = ("plain", "named", "for_types", "at_runtime", "from_package", "unused")
    files |= {f"slarisk/model/{name}.py": "" for name in others}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(code, "_SOURCE", tmp_path)

    assert set(list_model_code.__wrapped__()) == {*files} - {
        "slarisk/model/for_types.py",
        "slarisk/model/unused.py",
    }


@pytest.mark.slow
def test_every_copied_module_can_be_imported_from_the_copy(tmp_path):
    package = copy_model_code(tmp_path)
    modules = [name.removesuffix(".py").replace("/", ".") for name in list_model_code()]
    script = (
        f"import importlib, sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "import slarisk; print(slarisk.__path__[0])"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", script], cwd=tmp_path, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(package)


def test_what_the_code_imports_is_required():
    """A model's environment is installed from these requirements alone."""
    imported = set()
    for name in list_model_code():
        for node in ast.walk(ast.parse((SRC / name).read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module.partition(".")[0])
    outside = imported - set(sys.stdlib_module_names) - {"slarisk"}
    distributions = packages_distributions()

    assert {distributions[name][0].lower() for name in outside} <= set(_REQUIREMENTS)
