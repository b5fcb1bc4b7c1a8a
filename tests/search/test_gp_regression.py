"""The process: derivatives, predictions, beliefs about pending runs, and what it learns of the noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import multivariate_normal, norm

from raytrainer.search.gp import likelihood
from raytrainer.search.gp.acquisition import log_discount, log_expected_improvement
from raytrainer.search.gp.kernel import Kernel, Runs
from raytrainer.search.gp.regression import Posterior

OWNERS = [0, 1, 1, 2]
"""Four columns of three parameters."""


def runs(count: int, seed: int = 0) -> Runs:
    rng = np.random.default_rng(seed)
    return Runs(rng.random((count, len(OWNERS))), rng.choice([0.3, 0.6, 1.0], count), np.arange(count) // 3)


def kernel(noise: float = 1e-3) -> Kernel:
    return Kernel(np.log([0.5, 0.8, 1.2, 0.9, 1.3, 0.4, 1e-6, noise]), OWNERS)


def test_the_gradient_of_the_likelihood_is_its_slope() -> None:
    some, rng = runs(25), np.random.default_rng(1)
    theta = rng.normal(size=8) / 3
    evidence = likelihood._gather(some, rng.normal(size=25), rng.random(25), OWNERS)
    value, gradient = likelihood.objective(theta, evidence)
    ends = [[likelihood.objective(theta + sign * 1e-5 * one, evidence)[0] for sign in (1, -1)] for one in np.eye(8)]
    assert gradient == pytest.approx([(up - down) / 2e-5 for up, down in ends], rel=1e-5, abs=1e-5)
    covariance = Kernel(theta, OWNERS).between(some, some) + np.diag(np.exp(theta[-1]) + evidence.extra_noise)
    off = (theta - evidence.centre) / evidence.width
    likely = multivariate_normal(np.zeros(25), covariance).logpdf(evidence.targets) - 0.5 * off @ off
    assert value == pytest.approx(-likely - 12.5 * np.log(2 * np.pi))


def test_it_passes_through_what_it_saw_and_is_unsure_far_away() -> None:
    some = runs(20)
    targets = np.sin(3 * some.inputs[:, 0]) + some.fidelity
    posterior = Posterior.after(some, targets, np.zeros(20), kernel(noise=1e-8))
    mean, deviation = posterior.predict(some)
    assert mean == pytest.approx(targets, abs=1e-3)
    assert deviation.max() < 1e-2
    far = Runs(np.full((1, len(OWNERS)), 50.0), np.zeros(1), np.zeros(1, int))
    assert posterior.predict(far)[1][0] == pytest.approx(np.sqrt(kernel().variance(far)[0]), rel=0.05)


def test_what_is_believed_jointly_is_what_is_predicted_one_by_one() -> None:
    some, elsewhere = runs(20), Runs.imagined(runs(6, seed=1).inputs)
    posterior = Posterior.after(some, np.cos(some.inputs.sum(1)), np.zeros(20), kernel())
    mean, covariance = posterior.jointly(elsewhere)
    one, deviation = posterior.predict(elsewhere)
    assert mean == pytest.approx(one)
    assert np.diag(covariance) == pytest.approx(deviation**2, abs=1e-7)
    assert np.linalg.eigvalsh(covariance).min() > -1e-9
    twice = posterior.jointly(Runs.imagined(np.repeat(elsewhere.inputs[:1], 2, axis=0)))[1]
    assert twice == pytest.approx(np.full((2, 2), twice[0, 0])), "two runs of one configuration are worth the same"


def test_believing_in_pending_runs_is_seeing_their_mean() -> None:
    some, pending, elsewhere = runs(20), runs(6, seed=1), runs(10, seed=2)
    targets = np.cos(some.inputs.sum(1))
    before = Posterior.after(some, targets, np.zeros(20), kernel())
    believed = before.believing(pending)
    both = np.concatenate([targets, before.mean(pending)])
    seen = Posterior.after(some.and_also(pending), both, np.zeros(26), kernel())
    for one, other in zip(believed.predict(elsewhere), seen.predict(elsewhere), strict=True):
        assert one == pytest.approx(other, abs=1e-6)
    assert believed.mean(elsewhere) == pytest.approx(before.mean(elsewhere))
    assert (believed.predict(pending)[1] < before.predict(pending)[1]).all()


def test_believing_in_nothing_changes_nothing() -> None:
    posterior = Posterior.after(runs(5), np.arange(5.0), np.zeros(5), kernel())
    assert posterior.believing(runs(5)[:0]) is posterior


@pytest.mark.parametrize("deviation", [0.05, 0.3])
def test_noise_and_relevance_are_learnt(deviation: float) -> None:
    some, rng = runs(150), np.random.default_rng(3)
    targets = np.sin(4 * some.inputs[:, 0]) + deviation * rng.normal(size=150)
    learnt = likelihood.learn_kernel(some, targets, np.zeros(150), OWNERS)
    assert np.sqrt(learnt.noise) == pytest.approx(deviation, rel=0.35)
    lengths = np.exp(learnt.theta[:3])
    assert lengths[0] < lengths[1:].min() / 2


@pytest.mark.parametrize("deviation", [0.0, 0.4])
def test_luck_is_told_from_noise(deviation: float) -> None:
    """What the values of one trial have in common, at whatever epoch, and another one of its configuration has not."""
    rng = np.random.default_rng(4)
    inputs, trial = np.repeat(rng.random((20, len(OWNERS))), 6, axis=0), np.repeat(np.arange(40), 3)
    some = Runs(inputs, np.tile([0.3, 0.6, 1.0], 40), trial)
    targets = np.sin(2 * inputs[:, 0]) + deviation * rng.normal(size=40)[trial] + 0.05 * rng.normal(size=120)
    learnt = likelihood.learn_kernel(some, targets, np.zeros(120), OWNERS)
    assert np.sqrt(learnt.noise) == pytest.approx(0.05, rel=0.5)
    assert np.sqrt(learnt.chance - learnt.noise) == pytest.approx(deviation, abs=0.1)
    again = Posterior.after(some, targets, np.zeros(120), learnt)
    assert again.predict(Runs.imagined(inputs[:1]))[1][0] > 0.3 * deviation, "two trials do not tell all"


def test_extra_noise_makes_a_row_count_less() -> None:
    one = Runs(np.full((1, len(OWNERS)), 0.5), np.ones(1), np.zeros(1, int))
    sure, unsure = (Posterior.after(one, np.ones(1), np.array([extra]), kernel()).mean(one)[0] for extra in (0.0, 1.7))
    assert sure == pytest.approx(1, abs=0.01)
    assert unsure == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("mean", [-3.0, -0.5, 0.0, 2.0])
@pytest.mark.parametrize("deviation", [0.1, 1.0])
def test_the_expected_improvement_is_the_integral(mean: float, deviation: float) -> None:
    found = log_expected_improvement(np.array([mean]), np.array([deviation]), best=0.1)[0]
    density = norm(mean, deviation).pdf
    expected, _ = quad(lambda y: (y - 0.1) * density(y), 0.1, max(0.1, mean) + 12 * deviation, epsabs=0, limit=200)
    assert found == pytest.approx(np.log(expected), abs=1e-4) if expected > 1e-250 else found < -500


def test_the_expected_improvement_has_an_order_where_it_underflows() -> None:
    logs = log_expected_improvement(np.array([-200.0, -100.0, -50.0, -1.0001, -0.9999, 1e3]), np.ones(6), best=0.0)
    assert np.isfinite(logs).all()
    assert (np.diff(logs) > 0).all()


def test_what_would_be_noise_alone_is_discounted() -> None:
    deviations = np.array([1e-3, 0.1, 1.0])
    shares = np.exp(log_discount(deviations, noise=0.01))
    assert shares == pytest.approx([5e-5, 1 - np.sqrt(0.5), 0.9005], rel=1e-2)
    assert np.exp(log_discount(deviations, noise=0.0)) == pytest.approx(1)
    assert np.isfinite(log_discount(np.array([1e-12]), noise=1.0)).all()
