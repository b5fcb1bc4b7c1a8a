"""Each rank sees the GPU that it was given and no other, on uneven nodes; the GPUs are logical: nothing trains on them.

What is placed is the study's own trials by `run`, in Ray's hands; see `placing.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from raytrainer.cluster.assignment import Assignment, prepare
from raytrainer.cluster.rank_actor import Place
from raytrainer.cluster.rank_group import backend_of
from raytrainer.config.layout import StudyFolder
from raytrainer.config.space import Space

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the ranks of every study saw, or what the user was told."""
    folder = tmp_path_factory.mktemp("placing")
    paths = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    done = subprocess.run(
        [sys.executable, "-m", "cluster.placing", str(folder)], cwd=folder, capture_output=True, text=True, timeout=400,
        env={**os.environ, "PYTHONPATH": paths, "RAY_AUTH_MODE": "disabled"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    seen: dict[str, Any] = json.loads((folder / "seen.json").read_text())
    return seen


@pytest.mark.parametrize(
    ("nodes", "case", "ranks"),
    [
        ("one node", "a quarter", 4),
        ("one node", "halves", 2),
        ("two nodes", "one", 2),
        ("two nodes", "two", 2),
        ("two nodes", "spread", 2),
        ("two nodes", "four", 4),
    ],
)
def test_each_rank_sees_the_one_gpu_that_it_was_given(nodes: str, case: str, ranks: int, told: dict[str, Any]) -> None:
    seen = told[nodes][case]
    assert len({each["process"] for each in seen}) == ranks
    assert all(each["given"] == [each["visible"]] for each in seen)


@pytest.mark.parametrize("case", ["one", "two", "four"])
def test_a_whole_gpu_is_nobody_elses(case: str, told: dict[str, Any]) -> None:
    held = Counter((each["node"], each["visible"]) for each in told["two nodes"][case])
    assert set(held.values()) == {1}


def test_four_trials_share_a_gpu_at_once(told: dict[str, Any]) -> None:
    """No trial went on before all four were there."""
    seen = told["one node"]["a quarter"]
    assert {each["trial"] for each in seen} == {0, 1, 2, 3}
    assert {each["visible"] for each in seen} == {"0"}


def test_two_ranks_share_a_gpu(told: dict[str, Any]) -> None:
    assert [(each["rank"], each["visible"]) for each in told["one node"]["halves"]] == [(0, "0"), (1, "0")]


@pytest.mark.parametrize(
    ("places", "backend"),
    [
        ([("a", "0"), ("a", "0")], "gloo"),
        ([("a", "0"), ("b", "0"), ("b", "0")], "gloo"),
        ([("a", "0"), ("a", "1")], "nccl"),
        ([("a", "0"), ("b", "0")], "nccl"),
    ],
)
def test_ranks_that_share_a_gpu_do_not_talk_by_nccl(places: list[tuple[str, str]], backend: str) -> None:
    assert backend_of([Place(node, "10.0.0.1", (gpu,)) for node, gpu in places]) == backend


@pytest.mark.parametrize(("share", "kept"), [(0.25, [0.25]), (1.0, [])])
def test_a_share_of_a_gpu_is_a_share_of_its_memory(
    share: float, kept: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no GPU here: what torch would be told."""
    told: list[float] = []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", told.append)
    prepare(Assignment(Space(model="m.yaml", data="d.yaml"), StudyFolder(tmp_path), 1, 1, share, 1))
    assert told == kept


def test_without_gpus_none_is_visible(told: dict[str, Any]) -> None:
    (seen,) = told["one node"]["none"]
    assert (seen["given"], seen["visible"]) == ([], "")


def test_ranks_are_placed_together_or_apart(told: dict[str, Any]) -> None:
    """And counted from 0 on each node."""
    nodes = {case: Counter(each["node"] for each in told["two nodes"][case]) for case in ("two", "spread", "four")}
    assert sorted(nodes["two"].values()) == [2]
    assert sorted(nodes["spread"].values()) == [1, 1]
    assert sorted(nodes["four"].values()) == [1, 3]
    for case in nodes:
        places = [(each["node"], each["local_rank"]) for each in told["two nodes"][case]]
        assert sorted(places) == sorted((node, rank) for node, count in nodes[case].items() for rank in range(count))


@pytest.mark.parametrize(
    ("nodes", "case", "asked", "has"),
    [
        ("one node", "two", "2 ranks with 0.5 CPUs and 1 GPU each", ["4 CPUs and 1 GPU"]),
        ("two nodes", "eight", "8 ranks with 1 CPU and 1 GPU each", ["4 CPUs and 1 GPU", "4 CPUs and 3 GPUs"]),
    ],
)
def test_what_can_never_be_held_is_told(
    nodes: str, case: str, asked: str, has: list[str], told: dict[str, Any]
) -> None:
    message = told[nodes][case]
    assert message.startswith(f"resources: a trial asks for {asked}, which can never be had: the cluster's nodes have")
    assert all(node in message for node in has)


def test_a_gpu_that_is_only_promised_is_told_with_its_node(told: dict[str, Any]) -> None:
    """Such as one of a machine whose torch was built for CPUs: training there would be quietly slow."""
    assert told["promised"].startswith("no node is left for a trial: node ")
    assert "Ray gives GPU 0 of it to this study, but torch" in told["promised"]
