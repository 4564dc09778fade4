"""What an escalation averts, by when it comes."""

from statistics import NormalDist

import numpy as np
import pytest

from slarisk.config import CostPolicy, EffectKind, FadingBy
from slarisk.decisions.effect import EFFECT_KEYS, list_idle_keys, make_effect
from slarisk.errors import InputError


def averted(policy, *ages, target=8.0, certain=True):
    n = len(ages)
    effect = make_effect(policy)
    shares = effect.share_averted(
        np.array(ages, float), np.full(n, target), np.full(n, certain, dtype=bool)
    )
    return shares.tolist()


def test_a_constant_effect_ends_with_the_breach():
    policy = CostPolicy("", 20, 1, 0.8)
    assert averted(policy, 0, 4, 7.9, 8, 9) == [0.8, 0.8, 0.8, 0, 0]
    # where nobody knows when a ticket breaches, it does not end
    assert averted(policy, 0, 100, certain=False) == [0.8, 0.8]
    assert averted(policy, 0, 100, target=np.nan, certain=False) == [0.8, 0.8]


def test_what_is_left_must_be_longer_than_an_escalated_ticket_takes():
    policy = CostPolicy("", 20, 1, 0.8, EffectKind.expedited, 0.5, 0.7)
    chances = [NormalDist(np.log(0.5), 0.7).cdf(np.log(left)) for left in (1, 0.75, 0.5, 0.25)]
    assert averted(policy, 0, 2, 4, 6, 8) == pytest.approx([*(0.8 * np.array(chances)), 0])
    # at creation all of the target is left, however long that is
    assert averted(policy, 0, target=np.nan, certain=False) == pytest.approx([0.8 * chances[0]])


def test_fading_by_shares_and_by_hours():
    points = [[0, 1], [0.5, 0.8], [1, 0]]
    policy = CostPolicy("", 20, 1, 0.5, EffectKind.fading, fading=points)
    assert averted(policy, 0, 2, 4, 6, 8) == pytest.approx([0.5, 0.45, 0.4, 0.2, 0])
    policy.fading, policy.fading_by = [[0, 1], [8, 0.5]], FadingBy.hours
    assert averted(policy, 0, 4, 8, 80, certain=False) == pytest.approx([0.5, 0.375, 0.25, 0.25])


@pytest.mark.parametrize(
    "points",
    [
        [],
        [[0.1, 1], [1, 0]],
        [[0, 1], [1]],
        [[0, 1], [0, 0.5]],
        [[0, 0.5], [1, 1]],
        [[0, 2], [1, 0]],
    ],
)
def test_points_that_are_none_are_refused(points):
    with pytest.raises(InputError, match=r"cost\.fading"):
        make_effect(CostPolicy("", 20, 1, 1, EffectKind.fading, fading=points))


@pytest.mark.parametrize("effect", EffectKind)
@pytest.mark.parametrize(
    "key",
    [{"expedited_share": 0.5}, {"expedited_spread": 1.0}, {"fading": [[0, 1], [2, 0]]}],
    ids=str,
)
def test_a_key_that_is_not_read_is_refused(effect, key):
    policy = CostPolicy("", 20, 1, 0.8, effect, **key)
    (name,) = key
    if name in EFFECT_KEYS[effect]:
        assert name not in list_idle_keys(policy)
        make_effect(policy)
    else:
        with pytest.raises(InputError, match=rf"cost\.{name}"):
            make_effect(policy)


@pytest.mark.parametrize("effect", EffectKind)
def test_the_effect_never_rises_with_age(effect):
    ages = np.linspace(0, 12, 500)
    shares = averted(CostPolicy("", 20, 1, 0.8, effect), *ages)
    assert (np.diff(shares) <= 1e-12).all()
    assert shares[0] == pytest.approx(make_effect(CostPolicy("", 20, 1, 0.8, effect)).at_creation)
