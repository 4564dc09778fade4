"""SR016: as good out of fold as in sample."""

from sklearn.metrics import roc_auc_score


def test_a_tree_without_limits_learns_by_heart(gather, sample, examine):
    tree = ["model._target_=sklearn.tree.DecisionTreeClassifier", "+model.random_state=0"]
    context = gather(sample, *tree, "~model.C", "~model.max_iter")
    found = examine("SR016", context)
    assert found.verdict.value == "warning"


def test_the_figures_are_those_of_the_sampled_tickets(clean, examine, read_figures):
    found = examine("SR016", clean)
    assert found.verdict.value == "ok"
    sampled = clean.training.iloc[clean.sampled]
    assert clean.learned.eligible[clean.sampled].all()
    inside = roc_auc_score(sampled["breach"], clean.learned.model.probability(sampled))
    outside = roc_auc_score(sampled["breach"], clean.learned.score[clean.sampled])
    assert read_figures(found) == [round(inside, 3), round(outside, 3)]
