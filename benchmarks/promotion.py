"""What the promotion gate survives, and how often it is wrong.

``python benchmarks/promotion.py kill [rounds]``: a promotion is killed with ``kill -9``, in even
rounds at a random moment of it, in odd ones right after a random write to the store. Each time the
champion must be the old or the new version, with all its evidence and its files as registered; then
the next promotion must succeed, leave nothing half done, and continue one chain of champions.

``python benchmarks/promotion.py together [rounds]``: 8 runs are promoted by 8 commands started at
once, on a local store. All must succeed, one after the other.

``python benchmarks/promotion.py server [rounds]``: the same against a tracking server, where no
lock file helps.

``python benchmarks/promotion.py tamper``: each file of a registered model is altered by one byte,
at a random place; score.py's and promote.py's way to the model must refuse it by name, each time.

``python benchmarks/promotion.py false [pairs]``: champion and candidate are trained alike on the
bundled sample, with other seeds; how often is the candidate promoted?

``python benchmarks/promotion.py true [pairs]``: the candidate is really better, as the true
probabilities of the sample say. How often is that found?

``python benchmarks/promotion.py few [exports]``: first champions from small exports, drawn from the
bundled sample, by number of test tickets. How many pass the gate, and how many of those lose more
than the best rule by the true probabilities, on 1,500 other tickets?

The first four work on a part of the bundled sample, in a folder of their own.
"""

import itertools
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAME = "sla-breach-risk"
TICKETS = 1200
QUICK = ["evaluation.bootstrap_draws=50", "evaluation.importance_repeats=0"]
ANYONE = 1e6  # a margin, in dollars per ticket, that lets everyone pass the champion
OWN = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW")}


def start(command, arguments, folder, **environment):
    """Start a command in a folder, with a store of its own."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / f"{command}.py"), *arguments],
        cwd=folder,
        env=OWN | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def trained(values, **environment):
    """Work in a folder with a run of logistic regression for each regularisation."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "data").mkdir()
        lines = (ROOT / "data" / "sample_tickets.csv").read_text(encoding="utf-8").splitlines(True)
        (folder / "data" / "sample_tickets.csv").write_text("".join(lines[: TICKETS + 1]))
        shutil.copy(ROOT / "data" / "sample_truth.csv", folder / "data")
        grid = [
            "-m",
            "model=lr",
            "cost=fading",
            f"model.C={','.join(map(str, values))}",
            "log_models=all",
        ]
        process = start("train", [*grid, *QUICK], folder, **environment)
        said, _ = process.communicate()
        assert process.returncode == 0, said
        os.chdir(folder)
        try:
            yield folder
        finally:
            os.chdir(here)


def connect(uri=None):
    """Use a store from this process; return its runs with a model, and a config to promote them."""
    # MLflow keeps stores open by their address
    uri = uri or f"sqlite:///{Path.cwd() / 'mlflow.db'}"
    import mlflow

    from slarisk.config import PromoteConfig, Tracking
    from slarisk.tracking.runs import find_run
    from slarisk.tracking.store import open_store

    experiment = open_store(Tracking(name="local", uri=uri))
    found = mlflow.MlflowClient().search_runs([experiment])
    runs = [run.info.run_id for run in found if run.outputs and run.outputs.model_outputs]
    config = PromoteConfig(
        margin=-ANYONE,
        bootstrap_draws=50,
        clearly_beat_baseline=False,
        tracking=Tracking(name="local", uri=uri),
    )
    return [find_run(run_id) for run_id in sorted(runs)], config


def promote_quietly(run, config):
    """Promote a run; every run of the sample that adds anything passes."""
    from slarisk.commands.promote import promote

    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        promote(replace(config, run_id=run.run_id))


def promote_apart(run_id):
    """Promote in a process of its own; what a killed command does, without its start."""
    runs, config = connect()
    promote_quietly(next(run for run in runs if run.run_id == run_id), config)


def find_gaps(changes):
    """Find changes that do not begin where the one before ended."""
    return [
        new.number for old, new in itertools.pairwise(changes) if new.old != old.new or not new.done
    ]


def is_whole(version):
    """Whether a version has its evidence and its card, and its files are those registered."""
    import mlflow

    from slarisk.registry.card import VERDICT_TAG, WHY_TAG
    from slarisk.registry.models import fetch_version

    fetch_version(NAME, version)
    found = mlflow.MlflowClient().get_model_version(NAME, version.number)
    needed = {VERDICT_TAG, WHY_TAG, "expected_loss", "promoted_at", "git_commit"}
    return needed <= set(found.tags) and "### Limits" in found.description


def kill_promotions(rounds, seed=0):
    """Kill promotions, look at what they left, and promote again."""
    from slarisk.registry.state import fetch_state
    from slarisk.registry.versions import find_champion

    rng = random.Random(seed)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["slarisk.commands.promote", "mlflow", "mlflow.pyfunc", "lightgbm"]
    )
    good, took, kept, writes = 0, 0, 0, {}
    with trained([0.1, 1, 10]):
        runs, config = connect()
        promote_quietly(runs[0], config)
        for run in runs[1:]:  # the first also starts the server of forks
            started = time.perf_counter()
            process = context.Process(target=promote_apart, args=(run.run_id,))
            process.start()
            process.join()
            length = time.perf_counter() - started
        print(f"undisturbed: {length:.2f} s", flush=True)
        for number in range(rounds):
            before = find_champion(NAME)
            candidate, other = [run for run in runs if run.run_id != before.run_id]
            process = context.Process(target=promote_apart, args=(candidate.run_id,))
            seen = os.stat("mlflow.db").st_mtime_ns
            process.start()
            if number % 2 == 0:
                time.sleep(rng.uniform(0, length))
                when = "at a random moment"
            else:
                wanted = rng.randint(1, 16)
                seen = follow_writes(process, seen, wanted)
                when = f"after write {seen}"
            process.kill()
            process.join()
            after = find_champion(NAME)
            new = after.number != before.number
            whole = is_whole(after) and (not new or after.run_id == candidate.run_id)
            took, kept = took + new, kept + (not new)
            writes[when] = [*writes.get(when, []), new]
            promote_quietly(other, config)
            state = fetch_state(NAME)
            settled = (
                state.champion.run_id == other.run_id
                and is_whole(state.champion)
                and state.previous == after.number
                and (state.pending, state.unfinished) == (None, [])
                and not find_gaps(state.changes)
                and [each.number for each in state.versions] == [each.new for each in state.changes]
            )
            good += whole and settled
            if not (whole and settled):
                print(f"round {number + 1}: killed {when}: {whole=} {settled=} {state}")
        for when, outcomes in sorted(writes.items()):
            print(f"killed {when}: {len(outcomes)} times, {sum(outcomes)} with the new champion")
    print(
        f"kill -9: consistent {good} of {rounds} times (old champion {kept}, new {took}), and the "
        "next promotion put all in order"
    )
    return good == rounds


def follow_writes(process, seen, wanted):
    """Wait until a process has written to the store so many times, or ended; say how often."""
    count = 0
    while count < wanted and process.is_alive():
        now = os.stat("mlflow.db").st_mtime_ns
        if now != seen:
            seen, count = now, count + 1
    return count


def promote_together(rounds, many=8):
    """Promote 8 runs at once on a local store."""
    good = 0
    for number in range(rounds):
        with trained([2.0**power for power in range(-4, 4)]) as folder:
            good += _race(number, many, folder)
    print(f"{many} together: one chain {good} of {rounds} times")
    return good == rounds


def promote_over_http(rounds, many=8):
    """Promote 8 runs at once on a tracking server."""
    good = 0
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            uri, server = start_server(Path(name))
            try:
                values = [2.0**power for power in range(-4, 4)]
                with trained(values, MLFLOW_TRACKING_URI=uri) as folder:
                    good += _race(number, many, folder, uri)
            finally:
                os.killpg(server.pid, signal.SIGTERM)
                server.wait()
    print(f"{many} together on a server: one chain {good} of {rounds} times")
    return good == rounds


def start_server(folder, port=5187):
    """Start a tracking server, and wait until it answers."""
    from urllib.request import urlopen

    bin_folder = str(Path(sys.executable).parent)
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "2"],
        cwd=folder,
        env=OWN | {"PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    uri = f"http://127.0.0.1:{port}"
    for _ in range(600):
        try:
            urlopen(f"{uri}/health", timeout=5).close()
            return uri, server
        except OSError:
            time.sleep(0.2)
    raise RuntimeError("the tracking server does not answer")


def _race(number, many, folder, uri=None):
    from slarisk.registry.state import fetch_state

    runs, _ = connect(uri)
    assert len(runs) == many, runs
    easy = [f"margin={-ANYONE}", "clearly_beat_baseline=false"]
    easy += [f"tracking.uri={uri}"] if uri else []
    started = time.perf_counter()
    commands = [start("promote", [f"run_id={run.run_id}", *easy], folder) for run in runs]
    said = [command.communicate()[0] for command in commands]
    seconds = time.perf_counter() - started
    state = fetch_state(NAME)
    replaced = {each.number: each.tags.get("replaced_version") for each in state.versions}
    # only a first promotion can fail here: a run that adds nothing over a trivial rule
    chain = (
        all(command.returncode == 0 for command in commands)
        and len(state.changes) == many
        and not find_gaps(state.changes)
        and state.changes[0].old is None
        and {each.new for each in state.changes} == set(replaced)
        and all(replaced[each.new] == each.old for each in state.changes)
        and len({version.run_id for version in state.versions}) == many
        and (state.pending, state.unfinished) == (None, [])
        and all(is_whole(version) for version in state.versions)
    )
    again = sum(text.count("Compared again") for text in said)
    order = " -> ".join(str(each.new) for each in state.changes)
    print(
        f"round {number + 1}: {'one chain' if chain else 'BROKEN'} {order}, compared again {again} "
        f"times, {seconds:.0f} s",
        flush=True,
    )
    if not chain:
        print("\n".join(said))
    return chain


def tamper(seed=0):
    """Alter each file of a registered model by one byte."""
    import mlflow

    from slarisk.errors import InputError
    from slarisk.registry.models import fetch_version, read_checksums
    from slarisk.registry.promotion import find_rollback
    from slarisk.registry.state import fetch_state
    from slarisk.registry.versions import find_champion

    rng = random.Random(seed)
    with trained([0.1, 1]):
        runs, config = connect()
        promote_quietly(runs[0], config)
        promote_quietly(runs[1], config)
        client = mlflow.MlflowClient()
        refused, tried = 0, 0
        for number, load in (
            ("2", lambda: fetch_version(NAME, find_champion(NAME))),
            ("1", lambda: find_rollback(NAME, fetch_state(NAME))),
        ):
            folder = Path(client.get_model_version_download_uri(NAME, number))
            for name in read_checksums(fetch_state(NAME).versions[int(number) - 1]):
                sound = (folder / name).read_bytes()
                altered = bytearray(sound or b" ")
                if sound:
                    altered[rng.randrange(len(altered))] ^= 1 << rng.randrange(8)
                (folder / name).write_bytes(altered)
                tried += 1
                try:
                    load()
                    print(f"NOT REFUSED: {name}")
                except InputError as error:
                    refused += f": {name} was changed." in str(error)
                (folder / name).write_bytes(sound)
            load()
    print(f"tampering: refused by name {refused} of {tried} times (champion, and rollback to it)")
    return refused == tried


# How often the gate is wrong --------------------------------------------------------------------


def read_sample():
    """Read the bundled sample with its config, and the true probability of each ticket."""
    import pandas as pd
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    from slarisk.command_line import register_schemas
    from slarisk.tickets.prepare import prepare_tickets

    register_schemas()
    os.chdir(ROOT)
    with initialize_config_dir(str(ROOT / "conf"), job_name="benchmark"):
        models = {
            name: OmegaConf.to_object(compose("train", [f"model={name}", "cost=fading"]))
            for name in ("lr", "gbm")
        }
    config = models["gbm"]
    tickets = prepare_tickets(config.data, config.sla, config.cost)
    truth = pd.read_csv(config.data.truth, dtype={"ticket_id": str})
    chance = tickets.frame["ticket_id"].map(truth.set_index("ticket_id")["breach_probability"])
    return {name: each.model for name, each in models.items()}, config, tickets, chance.to_numpy()


def judge_pairs(pairs, make_models, title):
    """Split the sample anew for each pair, train both on one part, and compare on the other."""
    import numpy as np

    from slarisk.config import PromoteConfig
    from slarisk.decisions.policies import PerTicket
    from slarisk.learning.features import make_features
    from slarisk.learning.models import breach_scores, fit_pipeline
    from slarisk.registry.gate import compare_losses, list_challenge_reasons
    from slarisk.tickets.contract import take_facts
    from slarisk.training.estimator import build_estimator

    models, config, labelled, chance = read_sample()
    gate, tickets, costs = PromoteConfig(), labelled.frame, labelled.costs
    days = take_facts(tickets, config.data).day
    frame, breach = make_features(tickets, config.features), tickets["breach"].to_numpy()
    promoted, differences, really = 0, [], []
    for pair in range(pairs):
        order = np.random.default_rng(pair).permutation(len(tickets))
        test, training = np.split(order, [len(tickets) // 5])
        of_test = costs.take(test)
        losses, expected = [], []
        for made in make_models(models, pair):
            if made is None:
                probability = chance[test]
            else:
                pipeline = fit_pipeline(
                    build_estimator(made), config.features, frame.iloc[training], breach[training]
                )
                probability = breach_scores(pipeline, frame.iloc[test])
            escalate = PerTicket().decide(probability, of_test)
            losses.append(of_test.losses(breach[test], escalate))
            expected.append(expect_losses(chance[test], escalate, of_test).mean())
        comparison = compare_losses(*losses, days[test], gate)
        promoted += not list_challenge_reasons(comparison, gate.margin)
        differences.append(comparison.difference)
        really.append(expected[0] - expected[1])
    print(
        f"{title}: promoted {promoted} of {pairs} ({promoted / pairs:.1%}). Loss per ticket of the "
        f"candidate less the champion's, on {len(test):,} tickets: measured "
        f"{np.mean(differences):+.3f} dollars (sd {np.std(differences):.3f}); in truth "
        f"{np.mean(really):+.3f} (from {min(really):+.3f} to {max(really):+.3f})",
        flush=True,
    )
    return promoted / pairs


def expect_losses(chance, escalate, costs):
    """What decisions are expected to lose on each ticket, by its true probability."""
    import numpy as np

    left = chance * costs.fn + (1 - chance) * costs.tn
    acted = chance * costs.tp + (1 - chance) * costs.fp
    return np.where(escalate, acted, left)


def promote_first(exports, sizes=(200, 100, 40)):
    """Judge first champions on few test tickets (a fifth of the export), against what is true."""
    import numpy as np

    from slarisk.config import PromoteConfig
    from slarisk.decisions.effect import make_effect
    from slarisk.decisions.policies import PerTicket
    from slarisk.evaluation.baselines import AT_CREATION, decide_baselines
    from slarisk.learning.features import make_features
    from slarisk.learning.models import breach_scores, fit_pipeline
    from slarisk.registry.gate import compare_losses, list_sample_size_reasons, list_value_reasons
    from slarisk.tickets.contract import take_facts
    from slarisk.tickets.fields import list_segments
    from slarisk.training.estimator import build_estimator

    models, config, labelled, chance = read_sample()
    gate, any_number = PromoteConfig(), PromoteConfig(fewest_tickets=1)
    tickets, days = labelled.frame, take_facts(labelled.frame, config.data).day
    frame, breach = make_features(tickets, config.features), tickets["breach"].to_numpy()
    print("really worse than the best rule among those that pass, with any number of breaches, and")
    print(f"with fewest_breaches={gate.fewest_breaches}; of {exports} exports each", flush=True)
    for size in sizes:
        passed, enough, worse = [], [], []
        for export in range(exports):
            order = np.random.default_rng([size, export]).permutation(len(tickets))
            test, training, others, _ = np.split(order, [size, 5 * size, 5 * size + 1500])
            pipeline = fit_pipeline(
                build_estimator(models["lr"]),
                config.features,
                frame.iloc[training],
                breach[training],
            )
            losses, rules, true = {}, {}, {}
            training_costs = labelled.costs.take(training)
            for part in (test, others):
                costs = labelled.costs.take(part)
                decided = PerTicket().decide(breach_scores(pipeline, frame.iloc[part]), costs)
                parts = (tickets.iloc[training], tickets.iloc[part], training_costs, costs)
                fitted = decide_baselines(
                    *parts, list_segments(config.data), make_effect(config.cost)
                )
                # timers have no part in it: under cost=fading they decide at creation, if at all
                found = {rule: fitted.ages[rule] == 0 for rule in AT_CREATION}
                if part is test:
                    losses = costs.losses(breach[part], decided)
                    rules = {rule: costs.losses(breach[part], each) for rule, each in found.items()}
                else:
                    true = {
                        rule: expect_losses(chance[part], each, costs).mean()
                        for rule, each in (found | {"model": decided}).items()
                    }
            best = min(rules, key=lambda rule: rules[rule].sum())
            comparison = compare_losses(losses, rules[best], days[test], gate)
            passed.append(not list_value_reasons(comparison, best, True))
            enough.append(not list_sample_size_reasons(breach[test], any_number))
            worse.append(true.pop("model") > min(true.values()))
        passed, enough, worse = np.array(passed), np.array(enough), np.array(worse)
        said = [f"{(each & worse).sum()} of {each.sum()}" for each in (passed, passed & enough)]
        print(
            f"{size} test tickets: {said[0]}; {said[1]}; of all {worse.sum()} of {exports}",
            flush=True,
        )
    return True


def promote_falsely(pairs):
    """Train champion and candidate alike."""

    def make(models, pair):
        return [models["gbm"] | {"random_state": 2 * pair + seed} for seed in (0, 1)]

    return judge_pairs(pairs, make, "gbm against gbm of another seed") <= 0.05


def promote_truly(pairs):
    """Train candidates that are really better."""

    def better(models, pair):
        return [models["gbm"] | {"random_state": pair}, models["lr"]]

    def best(models, pair):
        return [None, models["lr"]]

    judge_pairs(pairs, better, "gbm against logistic regression")
    judge_pairs(pairs, best, "the true probabilities against logistic regression")
    return True


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message=".*type hint .*is inferred as AnyType")
    what, *more = sys.argv[1:]
    work = {
        "kill": (kill_promotions, [100]),
        "together": (promote_together, [3]),
        "server": (promote_over_http, [3]),
        "tamper": (tamper, []),
        "false": (promote_falsely, [200]),
        "true": (promote_truly, [200]),
        "few": (promote_first, [150]),
    }
    job, usual = work[what]
    sys.exit(not job(*(map(int, more) if more else usual)))
