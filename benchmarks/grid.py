"""What a sweep costs: a grid of jobs under ``train.py -m`` against a bare loop of the same fits.

A third of the jobs is each of lr, rf and gbm, with test sets of several sizes: six fits per job
(five folds and the final model) on the bundled sample. The grid tracks every job, evaluates it
against the baselines with bootstrap intervals, fits the best once more and logs its model and
plots; the loop, ``bare_fits.py``, only fits. Both are timed alternately, as processes, on an
existing store.

``python benchmarks/grid.py [rounds] [jobs ...]``, from the repository root; jobs are multiples of
3, by default 9, 24 and 96. Prints the ratio of wall times.
"""

import json
import statistics
import sys
import tempfile

import numpy as np
from omegaconf import OmegaConf
from overhead import DATA, ROOT, measure

MODELS = ["lr", "rf", "gbm"]


def read_model(name, test_size):
    """Read what a job fits from the config: class, parameters and the size of the test set."""
    parameters = OmegaConf.to_container(OmegaConf.load(ROOT / "conf" / "model" / f"{name}.yaml"))
    return parameters.pop("_target_"), parameters, test_size


def main(rounds: str = "3", *sizes: str) -> None:
    """Measure each size in turn, after a small grid that creates the store."""
    data = [f"data.path={DATA / 'sample_tickets.csv'}", f"data.truth={DATA / 'sample_truth.csv'}"]
    with tempfile.TemporaryDirectory() as folder:
        measure(ROOT / "train.py", ["-m", "model=lr", *data], folder)
        for size in [int(each) for each in sizes] or [9, 24, 96]:
            parts = [float(round(part, 4)) for part in np.linspace(0.15, 0.3, size // len(MODELS))]
            ours = [f"model={','.join(MODELS)}", f"split.test_size={','.join(map(str, parts))}"]
            jobs = [read_model(model, part) for model in MODELS for part in parts]
            theirs = [str(DATA / "sample_tickets.csv"), json.dumps(jobs)]
            ratios = []
            for _ in range(int(rounds)):
                grid = measure(ROOT / "train.py", ["-m", *ours, *data], folder)
                bare = measure(ROOT / "benchmarks" / "bare_fits.py", theirs, folder)
                ratios.append(grid / bare)
                print(f"{len(jobs)} jobs: grid {grid:.1f} s, bare {bare:.1f} s, {ratios[-1]:.2f}")
            print(f"{len(jobs)} jobs: median ratio {statistics.median(ratios):.2f}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
