"""The choice of the hyper-parameter: what is held out, what wins, and when the search ends."""

import numpy as np
import pytest
from helpers.probes import FITS, HELD_OUT, fits_of, problem, signs_of
from sklearn.svm import LinearSVC

from vggfeat.probes.grid_search import choose


def tried(scores, grid=(1.0, 2.0, 3.0), patience=None, of_training=1.0):
    """What `choose` returns for these scores: each a number, or numbers of three classes."""
    X, y = problem()
    of_values = iter(scores)

    def score(decisions, rows):
        return np.array(next(of_values) if len(rows) == len(HELD_OUT) else of_training)

    fits = fits_of("newton", X, signs_of(y))
    return choose(fits, [HELD_OUT], grid=grid, patience=patience, score=score)


def test_the_best_value_on_held_out_examples_is_chosen_and_the_smallest_of_equals():
    expected = {0.1: 0.5, 1.0: 0.8, 10.0: 0.8}
    C, scores = tried(expected.values(), (10.0, 0.1, 1.0))
    assert C == 1.0 and scores == expected


def test_means_of_other_classes_recalls_are_equal_in_spite_of_their_last_bits():
    """8/9 of six classes: once as four 1 and two 2/3, once as five 1 and 1/3."""
    small = np.mean([1, 2 / 3, 1, 1, 2 / 3, 1])
    large = np.nextafter(small, 1)
    assert tried([small, large, small], (0.1, 1.0, 10.0))[0] == 0.1
    assert tried([small, small + 1e-9, small], (0.1, 1.0, 10.0))[0] == 1.0


@pytest.mark.parametrize("solver", FITS)
def test_scores_are_of_examples_that_were_not_trained_on(solver):
    """Over two folds, each held out from classifiers that scikit-learn trains on the rest."""
    X, y = problem(n=120)
    folds = [np.arange(40), np.arange(80, 120)]

    def accuracy(decisions, rows):
        return float((decisions.argmax(axis=1) == y[rows]).mean())

    fits = fits_of(solver, X, signs_of(y))
    _, scores = choose(fits, folds, grid=(0.1, 1.0), score=accuracy)
    for C, value in scores.items():
        expected = []
        for rows in folds:
            rest = np.setdiff1d(np.arange(120), rows)
            theirs = LinearSVC(C=C, random_state=0).fit(X[rest], y[rest])
            expected.append(theirs.score(X[rows], y[rows]))
        assert value == pytest.approx(np.mean(expected))


@pytest.mark.parametrize("solver", FITS)
def test_the_search_does_not_change_what_is_fitted_after_it(solver):
    X, y = problem()
    fits = fits_of(solver, X, signs_of(y), tol=1e-10)
    choose(fits, [HELD_OUT], grid=(0.1, 1.0), score=lambda decisions, rows: 0.0)
    after_search = fits.fit(3.0)
    alone = fits_of(solver, X, signs_of(y), tol=1e-10).fit(3.0)
    np.testing.assert_allclose(after_search.coef, alone.coef, rtol=1e-4, atol=1e-7)
    assert after_search.converged.all()


def test_classes_that_cannot_be_scored_get_the_value_that_is_best_for_the_others():
    """The third class has no examples to be scored with."""
    C, means = tried([[0.1, 0.9, np.nan], [0.2, 0.5, np.nan], [0.3, 0.8, np.nan]])
    assert C.tolist() == [3.0, 1.0, 3.0]
    assert means == {1.0: 0.5, 2.0: 0.35, 3.0: 0.55}


def test_a_class_that_a_fold_leaves_without_positives_has_no_decisions():
    X, y = problem()
    seen = []

    def score(decisions, rows):
        seen.append(np.isnan(decisions).all(axis=0).tolist())
        return np.where(np.isnan(decisions).any(axis=0), np.nan, 1.0)

    for solver in FITS:
        fits = fits_of(solver, X, signs_of(y))
        choose(fits, [np.flatnonzero(y == 1)], grid=(1.0,), score=score)
    assert seen == [[False, True, False]] * 2


GRID = (1.0, 2.0, 3.0, 4.0, 5.0)


def test_the_grid_ends_where_scores_do_not_improve():
    C, scores = tried([0.5, 0.7, 0.7, 0.6], GRID, patience=2)
    assert C == 2.0 and scores == {1.0: 0.5, 2.0: 0.7, 3.0: 0.7, 4.0: 0.6}


def test_the_grid_goes_on_while_any_class_improves():
    C, scores = tried(
        [
            [0.9, 0.1, np.nan],
            [0.4, 0.2, np.nan],
            [0.3, 0.3, np.nan],
            [0, 0.2, np.nan],
            [0, 0, np.nan],
        ],
        GRID,
        patience=2,
    )
    assert len(scores) == 5 and C.tolist() == [1.0, 3.0, 1.0]


def test_the_grid_goes_on_while_even_the_training_examples_are_not_separated():
    """On a plateau of small values, that larger ones are no better says nothing of the largest."""
    C, _ = tried([0.1, 0.1, 0.1, 0.1, 0.9], GRID, patience=2, of_training=0.5)
    assert C == 5.0


def test_without_patience_the_whole_grid_is_tried():
    assert len(tried([0.5, 0.4, 0.3, 0.2, 0.1], GRID)[1]) == 5


@pytest.mark.parametrize("solver", FITS)
@pytest.mark.parametrize("class_weight", [None, "balanced", {1: 2.0, -1: 0.5}])
def test_a_class_of_which_a_fold_leaves_nothing_is_known_by_its_decisions(class_weight, solver):
    X, y = problem()
    signs = signs_of(y)
    signs[len(HELD_OUT) :, 1] = 0
    fits = fits_of(solver, X, signs, class_weight=class_weight)
    seen = []
    choose(
        fits,
        [HELD_OUT],
        grid=(1.0,),
        score=lambda decisions, rows: seen.append(np.isnan(decisions).all(axis=0).tolist()) or 0.0,
    )
    assert seen == [[False, True, False]]


@pytest.mark.parametrize("solver", FITS)
def test_the_value_may_be_chosen_again_over_other_folds(solver):
    X, y = problem()
    for first, second in ((1, 2), (2, 1)):
        fits = fits_of(solver, X, signs_of(y))
        for count in (first, second):
            folds = np.array_split(HELD_OUT, count)
            C, _ = choose(fits, folds, grid=(0.1, 1.0), score=lambda decisions, rows: 0.0)
            assert C == 0.1
