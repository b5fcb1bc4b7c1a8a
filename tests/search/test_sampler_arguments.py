"""What a sampler does not take is told before its study is opened, at the line that asks for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrainer.config.load import load_space
from raytrainer.config.problems import UserError
from raytrainer.search.sampler_arguments import NEEDS, check_sampler

HEAD = "model: yolo11n.pt\ndata: coco8.yaml\nspace: {batch: [4, 8]}\nsearch:\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("  sampler: cma\n", "5: search.sampler: no sampler is called 'cma', did you mean 'cmaes'?"),
        ("  sampler: tpe\n  sampler_args:\n    multivariate: true\n    n_startup_trails: 3\n",
         "8: search.sampler_args.n_startup_trails: TPESampler has no argument 'n_startup_trails', did you mean "
         "'n_startup_trials'?"),
        ("  sampler: tpe\n  sampler_args:\n    n_startup_trials: many\n",
         "7: search.sampler_args.n_startup_trials: TPESampler: expected an integer, got 'many'"),
        ("  sampler: cmaes\n  sampler_args: {sigma0: big}\n",
         "6: search.sampler_args.sigma0: CmaEsSampler: expected a number or null, got 'big'"),
        ("  sampler: grid\n", "5: search.sampler: GridSampler needs the argument sampler_args.search_space"),
        ("  sampler: bruteforce\nspace: {lr0: {low: 0.001, high: 0.01}}\n",
         "6: space.lr0: BruteForceSampler tries all there is, and a range without a step has no end"),
        ("  sampler: tpe\n  sampler_args: {seed: 3}\n",
         "6: search.sampler_args.seed: given by search.seed: leave it out"),
        ("  sampler: auto\n  sampler_args: {max_epochs: 2}\n",
         "6: search.sampler_args.max_epochs: given by train.epochs: leave it out"),
        ("  sampler: auto\n  sampler_args: {n_startup_trials: -3}\n",
         "6: search.sampler_args: MultiFidelitySampler: n_startup_trials: expected at least 0, got -3"),
        ("  sampler: nsgaii\n  sampler_args: {population_size: 1}\n",
         "6: search.sampler_args: NSGAIISampler: `population_size` must be greater than or equal to 2."),
    ],
)  # fmt: skip
def test_what_it_does_not_take(text: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(
        HEAD.replace("space: {batch: [4, 8]}\n", "\n" if "space:" in text else "space: {batch: [4, 8]}\n") + text
    )
    with pytest.raises(UserError) as error:
        check_sampler(load_space(file))
    assert str(error.value) == f"{file}:{told}"


def test_a_package_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Optuna looks for it at the first suggestion, when the defaults have been trained already."""
    monkeypatch.setitem(NEEDS, "CmaEsSampler", "no_such_package")
    file = tmp_path / "space.yaml"
    file.write_text(HEAD + "  sampler: cmaes\n")
    with pytest.raises(UserError) as error:
        check_sampler(load_space(file))
    told = "CmaEsSampler needs the package no_such_package: pip install no_such_package"
    assert str(error.value) == f"{file}:5: search.sampler: {told}"


@pytest.mark.parametrize(
    "text",
    [
        "  sampler: tpe\n  sampler_args: {n_startup_trials: 3, constant_liar: true}\n",
        "  sampler: random\n",
        "  sampler: grid\n  sampler_args: {search_space: {batch: [4, 8]}}\n",
        "  sampler: bruteforce\n",
        "{}",
    ],
)
def test_what_it_takes(text: str, tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(HEAD.replace("search:\n", "search: {}\n") if text == "{}" else HEAD + text)
    check_sampler(load_space(file))


def test_a_flag_is_named(tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(HEAD.removesuffix("search:\n"))
    with pytest.raises(UserError, match=r"^--set search.sampler_args.foo=3: search.sampler_args.foo: .* no argument"):
        check_sampler(load_space(file, ["search.sampler=tpe", "search.sampler_args.foo=3"]))
