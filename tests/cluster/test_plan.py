"""What a trial reserves and how many run at once, on every shape of cluster."""

from __future__ import annotations

from typing import Any

import pytest

from raytrainer.cluster.plan import Plan, plan
from raytrainer.config.problems import UserError
from raytrainer.config.space import Budget, Search, Space

LAPTOP = [{"CPU": 2.0}]
WORKSTATION = [{"CPU": 32.0, "GPU": 2.0}]
CLUSTER = [{"CPU": 4.0}, {"CPU": 64.0, "GPU": 8.0}, {"CPU": 16.0, "GPU": 4.0}]


def space(trials: int = 100, **resources: Any) -> Space:
    return Space.model_validate(
        {
            "model": "yolo11n.yaml",
            "data": "coco8.yaml",
            "search": {"trials": trials},
            "resources": resources,
            "space": {"lr0": {"low": 0.1, "high": 0.2, "default": 0.1}},
        }
    )


@pytest.mark.parametrize(
    ("nodes", "resources", "expected"),
    [
        (LAPTOP, {}, Plan(1, 0, 1, 2)),
        (LAPTOP, {"cpus": 2}, Plan(2, 0, 1, 1)),
        (LAPTOP, {"cpus": 0.5}, Plan(0.5, 0, 1, 4)),
        (LAPTOP, {"max_concurrent": 1}, Plan(1, 0, 1, 1)),
        ([{"CPU": 64.0}], {"gpus": 0}, Plan(8, 0, 1, 8)),
        (WORKSTATION, {"gpus": 1}, Plan(16, 1, 1, 2)),
        (WORKSTATION, {"gpus": "auto"}, Plan(16, 1, 1, 2)),
        (WORKSTATION, {"gpus": 0.25}, Plan(4, 0.25, 1, 8)),
        (WORKSTATION, {"gpus": 2}, Plan(16, 1, 2, 1)),
        (WORKSTATION, {"gpus": 2, "ranks": 2}, Plan(16, 1, 2, 1)),
        (WORKSTATION, {"gpus": 1, "ranks": 2}, Plan(8, 0.5, 2, 2)),
        (LAPTOP, {"ranks": 2}, Plan(1, 0, 2, 1)),
        (LAPTOP, {"ranks": 2, "cpus": 1}, Plan(0.5, 0, 2, 2)),
        (WORKSTATION, {"gpus": 0}, Plan(4, 0, 1, 8)),
        (CLUSTER, {"gpus": 1}, Plan(4, 1, 1, 12)),
        (CLUSTER, {"gpus": 4, "cpus": 8}, Plan(2, 1, 4, 3)),
        (CLUSTER, {"ranks": 4, "gpus_per_rank": 1, "cpus_per_rank": 2}, Plan(2, 1, 4, 3)),
        (CLUSTER, {"ranks": 2, "gpus_per_rank": 0.5, "spread": "spread"}, Plan(2, 0.5, 2, 12, "spread")),
        (WORKSTATION, {"gpus_per_rank": 0, "cpus": 8}, Plan(8, 0, 1, 4)),
        (CLUSTER, {"gpus": 0.1, "cpus": 1}, Plan(1, 0.1, 1, 80)),
    ],
)
def test_plan(nodes: list[dict[str, float]], resources: dict[str, Any], expected: Plan) -> None:
    assert plan(space(**resources), nodes) == expected


@pytest.mark.parametrize(("device", "gpus"), [("cpu", 0), (None, 1)])
def test_trials_that_train_on_cpus_take_no_gpu_unasked(device: str | None, gpus: int) -> None:
    asked = space().model_copy(update={"train": {"device": device}})
    assert plan(asked, WORKSTATION).gpus == gpus


def test_never_more_at_once_than_trials() -> None:
    assert plan(space(trials=3, gpus=1), CLUSTER).concurrent == 3


@pytest.mark.parametrize(
    ("nodes", "resources", "fragments"),
    [
        (LAPTOP, {"gpus": 1}, ["1 GPU,", "nodes have 2 CPUs and 0 GPUs"]),
        (LAPTOP, {"cpus": 4}, ["4 CPUs", "2 CPUs"]),
        (CLUSTER, {"gpus": 16}, ["16 ranks with 4 CPUs and 1 GPU each", "64 CPUs and 8 GPUs", "16 CPUs and 4 GPUs"]),
        (CLUSTER, {"gpus": 1, "cpus": 65}, ["65 CPUs and 1 GPU,"]),
        (CLUSTER, {"gpus": 3, "ranks": 2}, ["3 GPUs cannot be shared by 2 ranks"]),
    ],
)
def test_what_no_node_can_hold_is_an_error_at_the_start(
    nodes: list[dict[str, float]], resources: dict[str, Any], fragments: list[str]
) -> None:
    with pytest.raises(UserError) as error:
        plan(space(**resources), nodes)
    for fragment in ["resources", *fragments]:
        assert fragment in str(error.value)


@pytest.mark.parametrize(("nodes", "trials", "resources"), [(LAPTOP, 5, {}), (WORKSTATION, None, {"gpus": 0})])
def test_gpu_hours_are_no_budget_where_none_are_spent(
    nodes: list[dict[str, float]], trials: int | None, resources: dict[str, Any]
) -> None:
    budgeted = Search(trials=trials, budget=Budget(gpu_hours=2))
    with pytest.raises(UserError, match=r"search\.budget\.gpu_hours: no trial reserves a GPU here"):
        plan(space(**resources).model_copy(update={"search": budgeted}), nodes)


def test_as_many_run_at_once_as_fit_where_the_budget_says_how_many_there_are() -> None:
    asked = space(cpus=1).model_copy(update={"search": Search(budget=Budget(gpu_hours=2))})
    assert plan(asked, CLUSTER).concurrent == 12
