import pytest

from slarisk.registry.policy_differences import (
    describe_policy,
    find_differing_keys,
    flatten_config,
    format_differences,
)


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("cost.escalation_cost=5", "cost.escalation_cost"),
        ("cost.effectiveness=0.5", "cost.effectiveness"),
        ("sla.targets.High=9", "sla.targets.High"),
        ("+sla.aliases.Urgent=High", "sla.aliases.Urgent"),
        ("data.label.kind=due_date", "data.label.kind"),
        ("data.costs.breach=damage", "data.costs.breach"),
        ("data.columns.channel=Way In", "data.columns.channel"),
        ("~data.columns.channel", "data.columns.channel"),
        ("+data.values.channel.Email=Letter", "data.values.channel.Email"),
        ("data.creation.seed=1", "data.creation.seed"),
    ],
)
def test_the_key_that_differs_is_named(composed, override, key):
    ours, theirs = describe_policy(composed(override)), describe_policy(composed())
    assert find_differing_keys([ours, theirs]) == [key]
    assert find_differing_keys([theirs, ours]) == [key]
    assert format_differences(ours, theirs).startswith(f"{key}=")


def test_what_is_no_policy_does_not_differ(composed):
    """Another file, another period, another model: the same question, asked again."""
    other = composed("data.path=new.csv", "data.test_from=2024-01-01", "model=rf", "split=random")
    assert describe_policy(other) == describe_policy(composed())


def test_both_values_are_named(composed):
    ours, theirs = describe_policy(composed("cost.escalation_cost=5")), describe_policy(composed())
    assert format_differences(ours, theirs) == "cost.escalation_cost=5 (champion: 20)"
    gone = describe_policy(composed("~data.columns.channel"))
    assert format_differences(gone, theirs) == (
        "data.columns.channel=nothing (champion: Ticket Channel)"
    )


def test_many_keys_are_counted(composed):
    ours, theirs = (describe_policy(composed(f"data={name}")) for name in ("servicenow", "sample"))
    keys = find_differing_keys([ours, theirs])
    assert len(keys) > 8
    assert format_differences(ours, theirs).endswith(f"{len(keys) - 8} more keys")


def test_a_part_that_is_not_there_is_one_key():
    assert flatten_config(None, "data.events") == {"data.events": None}
