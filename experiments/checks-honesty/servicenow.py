"""Which field holds what is known only at the end of an incident?

``python experiments/checks-honesty/servicenow.py data/incident_event_log.zip``, from the repository
root. The bundled policy leaves ``closed_at``, ``closed_code`` and ``resolved_by`` out; here it
lists them as known at creation.
"""

import sys
from pathlib import Path

import pandas as pd
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from slarisk.checks import foresight, leaks
from slarisk.checks.check import Verdict
from slarisk.checks.run import run_checks
from slarisk.command_line import register_schemas
from slarisk.training import fit
from slarisk.training.prepare import prepare

CONF = Path(__file__).resolve().parents[2] / "conf"
FIELDS = ["closed_at", "closed_code", "resolved_by"]


def lie(config, fields):
    """List fields as known at creation, and make them features."""
    data = config.data
    for field in fields:
        data.columns.setdefault(field, field)
        data.known.created.append(field)
        if field in data.known.resolved:
            data.known.resolved.remove(field)
        kind = "days_since" if field in data.dates else "categorical"
        getattr(config.features, kind).append(field)


def gather(path, fields):
    """Train with such a policy; return the context of the checks, and the checks."""
    with initialize_config_dir(str(CONF), job_name="servicenow"):
        config = OmegaConf.to_object(
            compose("train", ["data=servicenow", f"data.path={path}", "model=gbm"])
        )
    lie(config, fields)
    seen = []
    fit.run_checks = lambda context: seen.append(context) or run_checks(context)
    trained = fit.fit_and_evaluate(config, prepare(config))
    return seen[0], trained.checks


def measure(context):
    """Tabulate how each category predicts the outcome, and its information about either day."""
    tickets = foresight.pick_tickets(context)
    rows = []
    for name in context.config.features.categorical:
        whole, rest = foresight.measure_gains(foresight.read_days(tickets, tickets[name]))
        auc = leaks.score_alone(context, name)
        rows.append((name, auc, whole.before, whole.before + whole.gain, rest.gain))
    columns = ["field", "auc_alone", "day_created", "day_ended", "gain_of_the_others"]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values("day_ended", ascending=False)


def main(path):
    """Print both tables: fields, and what failed with which lie."""
    register_schemas()
    for fields in [[], *([field] for field in FIELDS), FIELDS]:
        context, checks = gather(Path(path).resolve(), fields)
        failed = [check for check in checks if check.verdict is Verdict.failed]
        print(f"{' '.join(fields) or 'the bundled policy'}: failed {len(failed)}")
        for check in failed:
            print(f"  {check.code} {check.detail}")
    print(measure(context).to_string(index=False, float_format="{:.3f}".format))
    print(f"days_since_closed_at: {leaks.score_alone(context, 'days_since_closed_at'):.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
