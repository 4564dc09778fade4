"""What a served decision costs beside a bare prediction: ``python benchmarks/serving.py [s]``.

The champion, trained on the bundled sample, and a bare scikit-learn pipeline (the same estimator on
the same columns, one-hot encoded) logged as an MLflow model, each behind ``mlflow models serve``.
Both are asked in turn, over one connection: the median latency of one ticket and of 1,000, and the
requests per second that four clients at once get. All as a ratio.
"""

import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OURS, BARE = "models:/sla-breach-risk@champion", "models:/bare@champion"
COLUMNS = [
    *("Ticket Type", "Ticket Priority", "Ticket Channel", "Product Purchased", "Ticket Subject"),
    *("Created At", "Ticket ID"),
]
CLIENTS = 4
OWN = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW")}


def call(command, *arguments):
    """Run a command in the working folder."""
    done = subprocess.run(
        [sys.executable, str(ROOT / f"{command}.py"), *arguments],
        env=OWN,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def register_both():
    """Promote a model of ours, and register a bare pipeline on the same columns."""
    import mlflow
    import pandas as pd
    from lightgbm import LGBMClassifier
    from sklearn.compose import make_column_transformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    call("train", "model=gbm", "cost=fading", "evaluation.importance_repeats=0")
    call("promote")
    raw = pd.read_csv("data/sample_tickets.csv", dtype=str)
    truth = pd.read_csv("data/sample_truth.csv")["breach_probability"]
    encode = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), COLUMNS[:5]))
    model = LGBMClassifier(n_estimators=200, num_leaves=15, n_jobs=1, verbosity=-1)
    pipeline = make_pipeline(encode, model).fit(raw[COLUMNS].fillna("?"), truth > 0.5)
    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    mlflow.set_experiment("sla-breach-risk")
    with mlflow.start_run():
        mlflow.sklearn.log_model(
            pipeline,
            name="bare",
            registered_model_name="bare",
            signature=mlflow.models.infer_signature(raw[COLUMNS].fillna("?"), [[0.5, 0.5]]),
            pyfunc_predict_fn="predict_proba",
            pip_requirements=["mlflow"],
            skops_trusted_types=[
                "collections.OrderedDict",
                "lightgbm.basic.Booster",
                "lightgbm.sklearn.LGBMClassifier",
            ],
        )
    mlflow.MlflowClient().set_registered_model_alias("bare", "champion", "1")
    return raw[COLUMNS].fillna("?")


@contextmanager
def served(uri):
    """Serve a model as `make serve` does; give its port."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    bin_folder = str(Path(sys.executable).parent)
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"),
            *("--model-uri", uri, "--port", str(port)),
        ],
        env=OWN
        | {
            "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db",
            "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield port
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def ask(connection, body):
    """Ask once; give the predictions."""
    connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    assert answer.status == 200, content[:500]
    return content


def time_latency(ports, body, seconds):
    """Ask the servers in turn for some seconds; give the median latency of each."""
    connections = {name: HTTPConnection("127.0.0.1", port) for name, port in ports.items()}
    taken = {name: [] for name in ports}
    for connection in connections.values():
        for _ in range(5):
            ask(connection, body)
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        for name, connection in connections.items():
            started = time.perf_counter()
            ask(connection, body)
            taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(each) for name, each in taken.items()}


def count_requests(port, body, seconds):
    """Let some clients ask as fast as they get answers; give the requests per second of all."""
    counts = [0] * CLIENTS
    until = time.perf_counter() + seconds

    def client(number):
        connection = HTTPConnection("127.0.0.1", port)
        while time.perf_counter() < until:
            ask(connection, body)
            counts[number] += 1

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / seconds


def write_request(tickets):
    """Write tickets as a request in split orientation."""
    return json.dumps({"dataframe_split": json.loads(tickets.to_json(orient="split"))})


def measure(seconds=10):
    """Print what both servers need."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        try:
            shutil.copytree(ROOT / "data", "data", ignore=shutil.ignore_patterns("*.zip"))
            raw = register_both()
            new = raw.assign(**{"Ticket ID": "new-" + raw["Ticket ID"]})  # scored by the model
            with served(OURS) as ours, served(BARE) as bare:
                ports = {"champion": ours, "bare pipeline": bare}
                for count in (1, 1000):
                    body = write_request(new.head(count))
                    took = time_latency(ports, body, seconds)
                    print(
                        f"latency of {count:,}: champion {1e3 * took['champion']:.1f} ms, bare "
                        f"{1e3 * took['bare pipeline']:.1f} ms, ratio "
                        f"{took['champion'] / took['bare pipeline']:.2f}",
                        flush=True,
                    )
                body = write_request(new.head(1))
                rates = {who: [] for who in ports}
                for _ in range(3):
                    for who, port in ports.items():
                        rates[who].append(count_requests(port, body, seconds / 3))
                champion, other = (statistics.median(each) for each in rates.values())
                print(
                    f"{CLIENTS} clients at once: champion {champion:.0f} requests per second, bare "
                    f"{other:.0f}, ratio {champion / other:.2f}"
                )
        finally:
            os.chdir(here)


if __name__ == "__main__":
    measure(*map(float, sys.argv[1:]))
