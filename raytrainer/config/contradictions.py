"""Settings that contradict each other, the length of the training, or the model."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path

from raytrainer.config import ultralytics_arguments
from raytrainer.config.conditions import conditions, requirements
from raytrainer.config.model_file import ModelFacts
from raytrainer.config.objectives import objective_problems
from raytrainer.config.parameters import Categorical, Integer
from raytrainer.config.population import population_problems
from raytrainer.config.problems import KeyPath, Problem, suggest
from raytrainer.config.space import Space
from raytrainer.config.ultralytics_arguments import IMAGE_STRIDE

OWN_SAMPLERS = ("auto", "multifidelity")


def contradictions(space: Space, facts: ModelFacts) -> Iterator[Problem]:
    """One problem for every value that another rules out."""
    yield from _lengths(space)
    yield from _unfreezing(space)
    yield from _layers(space, facts)
    yield from _image_sizes(space)
    yield from _sampler(space)
    yield from _resources(space)
    yield from population_problems(space)
    yield from objective_problems(space)
    if not space.space:
        yield space.problem(("space",), "is empty: there is nothing to search")


def _lengths(space: Space) -> Iterator[Problem]:
    epochs = space.train.get("epochs", ultralytics_arguments.defaults()["epochs"])
    shortest = space.search.min_epochs
    if shortest is not None and shortest > epochs:
        yield space.problem(("search", "min_epochs"), f"expected at most train.epochs ({epochs}), got {shortest}")
    if (budget := space.search.budget.epochs) is not None and budget < epochs:
        message = f"expected at least train.epochs ({epochs}), so that one trial can end, got {budget}"
        yield space.problem(("search", "budget", "epochs"), message)
    fixed, parameter = space.trainer.get("unfreeze_epoch"), space.space.get("unfreeze_epoch")
    late = f"expected less than train.epochs ({epochs}), so that something is left to train, got"
    if fixed is not None and fixed >= epochs:
        yield space.problem(("trainer", "unfreeze_epoch"), f"{late} {fixed}")
    if isinstance(parameter, Integer) and parameter.high >= epochs:
        yield space.problem(("space", "unfreeze_epoch", "high"), f"{late} {parameter.high}")
    if isinstance(parameter, Categorical):
        for index, choice in enumerate(parameter.choices):
            if isinstance(choice, int) and choice >= epochs:
                yield space.problem(("space", "unfreeze_epoch", "choices", index), f"{late} {choice}")


def _resources(space: Space) -> Iterator[Problem]:
    """CPUs and GPUs are given for a trial or for each of its ranks."""
    asked = space.resources
    for what, of_trial, of_rank in (
        ("CPUs", asked.cpus, asked.cpus_per_rank),
        ("GPUs", None if asked.gpus == "auto" else asked.gpus, asked.gpus_per_rank),
    ):
        if of_trial is not None and of_rank is not None:
            key = what.lower()
            message = f"gives the {what} of a rank, but {key}: {of_trial:g} those of the trial; give one of the two"
            yield space.problem(("resources", f"{key}_per_rank"), message)


def _unfreezing(space: Space) -> Iterator[Problem]:
    """`unfreeze_every` counts from `unfreeze_epoch`, which must have a value in the same trials."""
    if space.trainer.get("unfreeze_every") is None and "unfreeze_every" not in space.space:
        return
    section = "space" if "unfreeze_every" in space.space else "trainer"
    path = (section, "unfreeze_every")
    start = space.space.get("unfreeze_epoch")
    if start is None and space.trainer.get("unfreeze_epoch") is None:
        yield space.problem(path, "needs unfreeze_epoch, the epoch at which the first layer is unfrozen")
        return
    needed = requirements(space.space, "unfreeze_every") if section == "space" else {}
    for other, allowed in conditions(start).items() if start else ():
        if not set(needed.get(other, [object()])) <= set(allowed):
            yield space.problem(path, f"needs the condition of unfreeze_epoch, on {other}, too")
    if isinstance(start, Categorical) and None in needed.get("unfreeze_epoch", start.choices):
        yield space.problem(path, "needs unfreeze_epoch, which can be null")


def _layers(space: Space, facts: ModelFacts) -> Iterator[Problem]:
    freeze = space.trainer.get("freeze", space.train.get("freeze"))
    section = "trainer" if "freeze" in space.trainer else "train"
    parameter = space.space.get("freeze")
    found: list[tuple[KeyPath, object]] = [((section, "freeze"), freeze)]
    if isinstance(parameter, Integer):
        found.append((("space", "freeze", "high"), parameter.high))
    if isinstance(parameter, Categorical):
        found += [(("space", "freeze", "choices", index), choice) for index, choice in enumerate(parameter.choices)]
    for path, value in found:
        if facts.layers and isinstance(value, int) and value >= facts.layers:
            yield space.problem(path, f"expected less than the {facts.layers} layers of the model, got {value}")


def _image_sizes(space: Space) -> Iterator[Problem]:
    parameter = space.space.get("imgsz")
    if isinstance(parameter, Integer) and (parameter.low % IMAGE_STRIDE or (parameter.step or 1) % IMAGE_STRIDE):
        message = f"sizes are rounded up to multiples of {IMAGE_STRIDE}: give low and step as multiples of it"
        yield space.problem(("space", "imgsz"), message)
    if isinstance(parameter, Categorical):
        for index, choice in enumerate(parameter.choices):
            if isinstance(choice, int) and choice % IMAGE_STRIDE:
                yield space.problem(("space", "imgsz", "choices", index), f"{choice} is no multiple of {IMAGE_STRIDE}")


def _sampler(space: Space) -> Iterator[Problem]:
    """Our sampler's names, and those of Optuna's, read from its text, since importing it takes a second."""
    spec = importlib.util.find_spec("optuna")
    if spec is None or spec.origin is None:
        return
    body = ast.parse((Path(spec.origin).parent / "samplers" / "__init__.py").read_text(encoding="utf-8")).body
    exported = next(
        (node.value for node in body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"),
        None,
    )
    names = [_short(name) for name in ast.literal_eval(exported)] if exported else []
    theirs = [name for name in names if not name.startswith("base") and name not in ("partialfixed", "nsgaii.")]
    known = [*OWN_SAMPLERS, *theirs]
    if theirs and _short(space.search.sampler) not in known:
        message = f"there is no sampler '{space.search.sampler}'{suggest(_short(space.search.sampler), known)}"
        yield space.problem(("search", "sampler"), message)
    elif space.search.min_gain is not None and _short(space.search.sampler) not in OWN_SAMPLERS:
        message = f"needs sampler: auto, whose model says what to expect; {space.search.sampler} has none that does"
        yield space.problem(("search", "min_gain"), message)


def _short(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "").removesuffix("sampler")
