"""Names of the tags and files of a run, each in one place."""

from __future__ import annotations

from enum import Enum

DATA_TAG, SPLIT_TAG, POLICY_TAG = "data_fingerprint", "split_fingerprint", "policy_fingerprint"
JOB_TAG = "job_fingerprint"
OVERRIDES_TAG = "overrides"
KIND_TAG = "kind"  # analysis or scoring; a training run has none
OPTIMISTIC_TAG = "optimistic"
BASELINE_TAG = "best_baseline"
WARNINGS_TAG, FAILED_CHECKS_TAG = "warnings", "failed_checks"
DESCRIPTION_TAG = "mlflow.note.content"
STAGE_TAG, TRIAL_TAG = "stage", "trial"  # of a job of a sweep
TUNING_TAG = "tuning"  # of a search, and of its runs with tuned parameters

CONFIG_FILE, VERSIONS_FILE, DIFF_FILE = "config.yaml", "versions.json", "uncommitted.diff"
CHECKS_FILE = "checks.csv"

SEEDS = ("random_state", "seed", "random_seed")  # names that libraries give the seed of a model


class Tuning(Enum):
    """What a search found when it compared its winner with the default parameters."""

    helps = "helps"
    may_help = "may_help"  # better, but without a seed that says what luck does
    not_compared = "not_compared"
    no_better_than_seed = "no_better_than_seed"
    only_out_of_fold = "only_out_of_fold"
    does_not_help = "does_not_help"

    @property
    def pays(self) -> bool:
        """Whether tuned parameters may be promoted: nothing was found against them."""
        return self in {Tuning.helps, Tuning.may_help, Tuning.not_compared}
