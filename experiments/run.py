"""Run studies: ``python experiments/run.py <name> ...``, ``all`` or ``--list``.

A study is a folder with a ``study.yaml``. Its runs are tracked in MLflow, in an experiment of its
own; ``results.csv``, the tables of its README and its figures are rewritten in place. What finished
before, with the same config, tickets and code, is not run again.
"""

import argparse
from pathlib import Path

from lab.runner import run_study
from lab.study import Study, list_studies
from slarisk.command_line import run_command

HERE = Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="name", help="studies, or: all")
    parser.add_argument("--list", action="store_true", help="list the studies")
    parser.add_argument("--workers", type=int, default=2, help="runs at a time (default: 2)")
    options = parser.parse_args()
    known = list_studies(HERE)
    if options.list or not options.names:
        print("\n".join(known))
        return
    for name in known if options.names == ["all"] else options.names:
        run_study(Study(HERE / name, HERE.parent / "conf"), options.workers)


if __name__ == "__main__":
    run_command(main)
