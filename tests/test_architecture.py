"""The rules of the house: who may import whom, and that nothing happens at import."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

import slarisk

SOURCE = Path(slarisk.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
ROOT = Path(__file__).resolve().parents[1]
# A room may import from its own storey and from those below.
STOREYS = [
    {"jobs"},
    {"tracking", "scoring"},
    {"evaluation", "learning"},
    {"reports"},
    {"decisions", "tickets", "analysis"},
    {"config", "constraints", "errors"},
]


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


def rooms_used(file):
    modules = [module for module, _ in list_imports(file)]
    return {module.split(".")[1] for module in modules if module.startswith("slarisk.")}


def storey_of(room):
    return next(number for number, rooms in enumerate(STOREYS) if room in rooms)


def test_every_room_has_a_storey():
    rooms = {name_room(file) for file in FILES} - {"__init__"}
    assert {"jobs", "tracking", "scoring", "evaluation", "learning", "decisions"} < rooms
    assert rooms <= set.union(*STOREYS)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_imports_run_downwards(file):
    room = name_room(file)
    for used in rooms_used(file) - {room}:
        assert storey_of(used) >= storey_of(room), f"{room} imports {used}, which is above it"


def test_rooms_import_each_other_in_no_circle():
    graph = {}
    for file in FILES:
        room = name_room(file)
        graph.setdefault(room, set()).update(rooms_used(file) - {room})
    assert list(graphlib.TopologicalSorter(graph).static_order())


def test_a_config_needs_its_constraints_alone():
    assert rooms_used(SOURCE / "config.py") == {"constraints"}
    assert rooms_used(SOURCE / "constraints.py") == {"errors"}
    assert not rooms_used(SOURCE / "errors.py")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_mlflow_and_hydra_stay_in_their_rooms(file):
    for module, in_function in list_imports(file):
        library = module.split(".")[0]
        if library == "mlflow":
            assert name_room(file) in {"tracking", "scoring"}
            assert in_function, "import mlflow takes seconds: import it where it is needed"
        if library in {"hydra", "omegaconf"}:
            assert name_room(file) in {"jobs", "tracking"}


def test_decisions_need_numpy_alone():
    libraries = {
        module.split(".")[0]
        for file in (SOURCE / "decisions").glob("*.py")
        for module, _ in list_imports(file)
    }
    assert libraries - set(sys.stdlib_module_names) <= {"numpy", "slarisk"}


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
