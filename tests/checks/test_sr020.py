"""SR020: probabilities calibrated."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from scipy.stats import chi2
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss


@pytest.fixture
def judge(clean, with_probability, examine):
    """Outcomes with a known chance, and what a model says of it."""

    def judge_saying(say, tickets=2_000, seed=0):
        rng = np.random.default_rng(seed)
        chance = rng.beta(1.5, 3, tickets)
        test = pd.DataFrame({"breach": rng.random(tickets) < chance})
        context = with_probability(replace(clean, test=test), say(chance))
        return examine("SR020", context), test, chance

    return judge_saying


SAID = {
    "the truth": (lambda chance: chance, "ok"),
    "too much": (lambda chance: expit(logit(chance) + 0.6), "warning"),
    "too sure": (lambda chance: expit(2 * logit(chance)), "warning"),
    "too unsure": (lambda chance: expit(0.4 * logit(chance) - 0.4), "warning"),
}


@pytest.mark.parametrize(("say", "verdict"), SAID.values(), ids=SAID)
def test_the_verdict_goes_by_what_is_said(judge, say, verdict):
    assert judge(say)[0].verdict.value == verdict


def test_a_test_that_is_sure_of_a_trifle_is_not_enough(judge):
    found, _, _ = judge(lambda chance: expit(logit(chance) + 0.1), tickets=200_000)
    assert float(found.detail.split("p = ")[1].split(")")[0]) < 1e-6
    assert found.verdict.value == "ok"


def test_the_figures_are_those_of_a_logistic_regression(judge):
    say = SAID["too sure"][0]
    found, test, chance = judge(say)
    odds = logit(say(chance))
    line = LogisticRegression(C=np.inf, tol=1e-10).fit(odds[:, None], test["breach"])
    fitted = line.predict_proba(odds[:, None])[:, 1]
    both = [log_loss(test["breach"], each, normalize=False) for each in (say(chance), fitted)]
    assert f"Intercept {line.intercept_[0]:+.2f}, slope {line.coef_[0, 0]:.2f}" in found.detail
    assert f"p = {chi2.sf(2 * (both[0] - both[1]), 2):.2g}" in found.detail
    assert f"off by {np.abs(fitted - say(chance)).mean():.3f}" in found.detail


def test_certainty_that_comes_true_can_be_fitted(judge):
    found, _, _ = judge(lambda chance: (chance > 0.5).astype(float))
    assert found.verdict.value == "warning"


def test_the_truth_is_seldom_doubted(judge):
    verdicts = [judge(lambda chance: chance, 400, seed)[0].verdict.value for seed in range(200)]
    assert verdicts.count("warning") <= 2
