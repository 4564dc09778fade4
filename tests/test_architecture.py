"""Rules that import-linter (pyproject.toml) cannot see: names, costs of imports, thin commands."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import slarisk

SOURCE = Path(slarisk.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
ROOT = Path(__file__).resolve().parents[1]


def name_room(file):
    inside = file.relative_to(SOURCE)
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem


def list_imports(file):
    """Every module a file imports, also in functions and for type checkers, with its depth."""
    found = []

    def visit(node, in_function):
        inside = in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if isinstance(node, ast.Import):
            found.extend((alias.name, in_function) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            found.append((node.module, in_function))
            if node.module == "slarisk":
                found.extend((f"slarisk.{alias.name}", in_function) for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child, inside)

    visit(ast.parse(file.read_text(encoding="utf-8")), False)
    return found


@pytest.mark.parametrize("library", ["mlflow", "lightgbm"])
def test_slow_imports_stand_in_functions(library):
    """Importing MLflow takes seconds: a command pays for it once it needs it."""
    slow = [
        file
        for file in FILES
        for module, in_function in list_imports(file)
        if module.split(".")[0] == library and not in_function
    ]
    assert slow == []


def test_what_a_decision_policy_is_stands_in_its_class():
    """Nobody else compares its name: a new policy would have to be added there, too."""
    for file in FILES:
        if name_room(file) not in {"decisions", "config"}:
            assert "DecisionKind" not in file.read_text(encoding="utf-8"), file


def test_one_function_prices_tickets():
    for file in FILES:
        if name_room(file) != "decisions" and file.name != "prices.py":
            assert "cost_matrix(" not in file.read_text(encoding="utf-8"), file


@pytest.mark.parametrize("command", ["train", "promote", "score", "analyze"])
def test_a_command_is_thin(command):
    lines = (ROOT / f"{command}.py").read_text().splitlines()
    assert len([line for line in lines if line.strip()]) <= 20


@pytest.mark.slow
def test_importing_everything_does_nothing(tmp_path):
    modules = [
        ".".join(("slarisk", *file.relative_to(SOURCE).with_suffix("").parts))
        for file in FILES
        if file.stem not in {"__init__", "__main__"}
    ]
    code = (
        "import importlib, logging, os, signal, sys, warnings\n"
        "before = dict(os.environ), signal.getsignal(signal.SIGTERM), list(logging.root.handlers)\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "after = dict(os.environ), signal.getsignal(signal.SIGTERM), list(logging.root.handlers)\n"
        "assert before == after\n"
        "assert 'mlflow' not in sys.modules\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not list(tmp_path.iterdir())


def test_no_two_public_things_share_a_name():
    places = {}
    for file in FILES:
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(str(file.relative_to(SOURCE)))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}
