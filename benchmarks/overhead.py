"""What tracking, evaluation and packaging cost: ``train.py`` against the bare fits.

Both read the same file and do the same six fits (five folds and the final model) with the same
parameters and encoding, in turn, each a process of its own, on a store that is warm. The rival,
``bare_fits.py``, is plain pandas and scikit-learn: no evaluation, no plots, no stored model.

``python benchmarks/overhead.py [model] [rounds]``, from the repository root; prints the ratio of
wall times, round by round and the median.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from omegaconf import OmegaConf

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "data"


def measure(script: Path, arguments: list[str], folder: str) -> float:
    """Run a script in a folder and give its wall time in seconds."""
    command = [sys.executable, str(script), *arguments]
    # the store is the folder's own, whatever the shell says
    environment = {key: os.environ[key] for key in os.environ if key != "MLFLOW_TRACKING_URI"}
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main(model: str = "rf", rounds: str = "5") -> None:
    """Measure in turn, after one round that does not count."""
    parameters = OmegaConf.to_container(OmegaConf.load(ROOT / "conf" / "model" / f"{model}.yaml"))
    target = parameters.pop("_target_")
    ours = [f"model={model}", f"data.path={DATA / 'sample_tickets.csv'}"]
    ours += [f"data.truth={DATA / 'sample_truth.csv'}"]
    theirs = [str(DATA / "sample_tickets.csv"), json.dumps([[target, parameters, 0.2]])]
    with tempfile.TemporaryDirectory() as folder:
        ratios = []
        for number in range(int(rounds) + 1):
            tracked = measure(ROOT / "train.py", ours, folder)
            bare = measure(ROOT / "benchmarks" / "bare_fits.py", theirs, folder)
            if number:
                ratios.append(tracked / bare)
                print(f"train.py {tracked:6.2f} s   bare {bare:6.2f} s   ratio {ratios[-1]:.2f}")
    print(f"train.py model={model} / bare fits: median ratio {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
