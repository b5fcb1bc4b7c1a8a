"""From files, flags and `--set` to a space, and back to a file."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raytrainer.config.load import FLAGS, load_space
from raytrainer.config.parameters import Categorical, Float, Integer, Parameter
from raytrainer.config.problems import UserError
from raytrainer.config.space import Budget, Resources, Search, Space
from raytrainer.config.storage import Storage

TEXT = """
model: yolo11n.pt
data: coco8.yaml
train: {optimizer: AdamW, epochs: 20}
space:
  lr0: {low: 1e-5, high: 1e-2, log: true}
  close_mosaic: {low: 1, high: 9}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("cells.yaml").write_text(TEXT)
    return Path("cells.yaml")


def refusal(file: Path, *sets: str, **flags: Any) -> list[str]:
    with pytest.raises(UserError) as error:
        load_space(file, sets, flags)
    return [str(problem) for problem in error.value.problems]


def test_a_file_fills_in_its_defaults(file: Path) -> None:
    space = load_space(file)
    assert (space.name, space.keep, space.storage, space.source) == ("cells", "best", Storage("runs"), file.absolute())
    assert (space.search, space.resources) == (Search(), Resources())
    assert space.space == {"lr0": Float(low=1e-5, high=1e-2, log=True), "close_mosaic": Integer(low=1, high=9)}
    assert space.fitness == "0.9*mAP50-95 + 0.1*mAP50"


@pytest.mark.parametrize(
    ("model", "fitness"),
    [
        ("yolo11n-seg.pt", "0.9*mAP50-95 + 0.1*mAP50 + 0.9*mAP50-95(M) + 0.1*mAP50(M)"),
        ("yolo11n-pose.yaml", "0.9*mAP50-95 + 0.1*mAP50 + 0.9*mAP50-95(P) + 0.1*mAP50(P)"),
        ("yolo11n-cls.pt", "0.5*accuracy_top1 + 0.5*accuracy_top5"),
        ("rtdetr-l.pt", "0.9*mAP50-95 + 0.1*mAP50"),
    ],
)
def test_the_stock_fitness_is_that_of_the_task(model: str, fitness: str, file: Path) -> None:
    assert load_space(file, flags={"model": model}).fitness == fitness


@pytest.mark.parametrize(
    ("change", "key", "value"),
    [
        ("train.lrf=1e-3", "train.lrf", 1e-3),
        ("train.imgsz=320", "train.imgsz", 320),
        ("train.epochs=1e1", "train.epochs", 10),
        ("train.cos_lr=true", "train.cos_lr", True),
        ("train.optimizer=sgd", "train.optimizer", "SGD"),
        ("train.freeze=[1, 2]", "train.freeze", [1, 2]),
        ("trainer.clip_grad_norm=null", "trainer.clip_grad_norm", None),
        ("trainer.class_weights.St. Bernard=2", "trainer.class_weights", {"St. Bernard": 2}),
        ("name=7", "name", "7"),
        ("name=1e5", "name", "1e5"),
        ("storage=null", "storage", Storage("null")),
        ("fitness=mean(F1) + 1", "fitness", "mean(F1) + 1"),
        ("search.trials=8", "search.trials", 8),
        ("search.sampler_args.multivariate=false", "search.sampler_args", {"multivariate": False}),
        ("search.budget.wall=0.5", "search.budget", Budget(wall=0.5)),
        ("resources.gpus=0.5", "resources.gpus", 0.5),
        ("resources.gpus=auto", "resources.gpus", "auto"),
        ("space.lr0.high=0.1", "space.lr0", Float(low=1e-5, high=0.1, log=True)),
        ("space.lr0={low: 1, high: 2}", None, None),
        ("space.lr0=[0.1, 0.2]", "space.lr0", Categorical(choices=[0.1, 0.2])),
        ("space.box={low: 1, high: 9, when: {close_mosaic: 3}}", "space.box",
         Float(low=1, high=9, when={"close_mosaic": 3})),
        ("space.box.when.close_mosaic=3", None, None),
    ],
)  # fmt: skip
def test_set_is_typed_by_the_schema(change: str, key: str | None, value: Any, file: Path) -> None:
    if key is None:
        assert all(problem.startswith(f"--set {change}: ") for problem in refusal(file, change))
        return
    found: Any = load_space(file, [change])
    for part in key.split("."):
        found = found[part] if isinstance(found, dict) else getattr(found, part)
    assert found == value
    assert type(found) is type(value)


def test_null_takes_a_parameter_out_of_the_search(file: Path) -> None:
    assert list(load_space(file, ["space.lr0=null", "train.lr0=0.01"]).space) == ["close_mosaic"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("train.lr0", "--set train.lr0: expected key.path=value, such as train.imgsz=320"),
        ("train.lr0=much", "--set train.lr0=much: train.lr0: expected a number from 0 to 1, got 'much'"),
        ("train.lr=1", "--set train.lr=1: train.lr: unknown key, did you mean 'lr0'?"),
        ("train.imgsz=[1", "--set train.imgsz=[1: train.imgsz: not valid YAML: while parsing a flow sequence expected "
         "',' or ']', but got '<stream end>'"),
        ("space.lr0.low.x=1", "--set space.lr0.low.x=1: space.lr0.low.x: space.lr0.low is not a mapping, so it has no "
         "'x'"),
        ("space.lr0.low=1", "--set space.lr0.low=1: space.lr0.low: expected less than high (0.01), got 1"),
        ("space.class_weights.St. Bernard.low=1", "--set space.class_weights.St. Bernard.low=1: "
         "space.class_weights.St. Bernard.high: is missing"),
        ("trian.lr0=1", "--set trian.lr0=1: trian: unknown key, did you mean 'train'?"),
        ("train.optimizer=SGD", None),
    ],
)  # fmt: skip
def test_a_wrong_set_names_itself(change: str, told: str | None, file: Path) -> None:
    if told is None:
        assert load_space(file, [change]).train["optimizer"] == "SGD"
    else:
        assert refusal(file, change) == [told]


def test_a_searched_key_that_a_flag_fixes_names_both(file: Path) -> None:
    assert refusal(file, "train.lr0=0.01") == [
        "cells.yaml:6: space.lr0: is both searched and fixed (train.lr0, --set train.lr0=0.01); "
        "--set space.lr0=null would fix it"
    ]


@pytest.mark.parametrize(
    ("key", "given", "wrong"),
    [
        ("model", "rtdetr-l.pt", None), ("data", "coco128.yaml", None), ("name", "second", "a b"),
        ("storage", "out", None), ("train.epochs", "7", "many"), ("search.trials", 3, 0), ("search.seed", "5", "-1"),
        ("resources.max_concurrent", "2", "0"), ("resources.cpus", "1.5", "none"), ("resources.gpus", 0, "-1"),
    ],
)  # fmt: skip
def test_flags_are_typed_alike_and_name_themselves(key: str, given: Any, wrong: Any, file: Path) -> None:
    assert key in FLAGS
    found: Any = load_space(file, flags={key: given})
    for part in key.split("."):
        found = found[part] if isinstance(found, dict) else getattr(found, part)
    assert str(found).removesuffix(".0") == str(given)
    if wrong is not None:
        with pytest.raises(UserError) as error:
            load_space(file, flags={key: wrong})
        assert [str(problem).startswith(f"{FLAGS[key]}: {key}: expected ") for problem in error.value.problems] == [
            True
        ]


def test_a_set_comes_after_the_flags_and_none_is_no_flag(file: Path) -> None:
    space = load_space(file, ["search.trials=5"], {"search.trials": 9, "search.seed": None, "train.epochs": 30})
    assert (space.search.trials, space.search.seed, space.train["epochs"]) == (5, 0, 30)


def test_all_wrong_flags_are_told_with_the_file(file: Path) -> None:
    file.write_text(TEXT + "keep: some\n")
    told = refusal(file, "x", "train.lr0=a", **{"search.trials": "b"})
    assert [problem.split(": ")[0] for problem in told] == ["--set x", "cells.yaml:8", "--set train.lr0=a", "--trials"]


def test_files_are_found_as_given_then_among_the_shipped(file: Path) -> None:
    assert load_space("cells").source == file.absolute()
    shipped = load_space("yolo.yaml")
    assert shipped == load_space("yolo")
    assert shipped.source is not None
    assert shipped.source.parent.name == "search_spaces"
    Path("yolo.yaml").write_text(TEXT)
    assert load_space("yolo.yaml").source == Path("yolo.yaml").absolute()
    for name, told in {
        "yollo.yaml": "yollo.yaml: no such space file, did you mean 'yolo.yaml'?",
        "none/yolo.yaml": "none/yolo.yaml: no such space file, did you mean 'yolo.yaml'?",
        "qqq": "qqq: no such space file; known: demo.yaml, detr.yaml, imbalanced.yaml, yolo.yaml",
        "": "no such space file; known: demo.yaml, detr.yaml, imbalanced.yaml, yolo.yaml",
    }.items():
        assert refusal(Path(name) if name else name) == [told]  # type: ignore[arg-type]


def test_paths_become_absolute_where_they_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "beside").mkdir()
    for name in ("mine.pt", "teacher.pt", "mine.py", "data.yaml"):
        (tmp_path / "beside" / name).write_bytes(b"")
    (tmp_path / "mine.pt").write_bytes(b"")
    space_file = tmp_path / "beside" / "space.yaml"
    space_file.write_text(
        "model: mine.pt\ndata: data.yaml\nfitness: mine.py:score\ntrain: {pretrained: yolo11n.pt, "
        "distill_model: teacher.pt}\nspace: {batch: [4, 8]}\n"
    )
    monkeypatch.chdir(tmp_path)
    space = load_space("beside/space.yaml")
    assert space.model == str(tmp_path / "mine.pt"), "the working folder comes first, as for Ultralytics"
    assert space.data == str(tmp_path / "beside" / "data.yaml")
    assert space.fitness == f"{tmp_path / 'beside' / 'mine.py'}:score"
    assert space.train == {"pretrained": "yolo11n.pt", "distill_model": str(tmp_path / "beside" / "teacher.pt")}


def test_a_space_travels_between_processes_with_its_lines(file: Path) -> None:
    space = pickle.loads(pickle.dumps(load_space(file)))
    assert space == load_space(file)
    assert str(space.problem(("space", "lr0", "low"), "is low")) == "cells.yaml:6: space.lr0.low: is low"
    copied = space.model_copy(update={"model": "other.pt"})
    assert copied != space
    assert copied.problem(("data",), "is bad").line == 3


scalars = st.none() | st.booleans() | st.integers(-99, 99) | st.floats(-9, 9) | st.text(max_size=8)
numbers = st.floats(1e-6, 1e6)


@st.composite
def parameters(draw: st.DrawFn) -> Parameter:
    kind = draw(st.sampled_from(["float", "integer", "choice"]))
    if kind == "choice":
        choices: list[Any] = draw(
            st.lists(scalars, min_size=2, max_size=4, unique_by=lambda each: (each == each, each))
        )
        return Categorical(choices=choices, default=draw(st.sampled_from(choices)))
    if kind == "integer":
        least = draw(st.integers(1, 50))
        return Integer(low=least, high=least + draw(st.integers(1, 50)), log=draw(st.booleans()))
    low, high = sorted(draw(st.lists(numbers, min_size=2, max_size=2, unique=True)))
    return Float(low=low, high=high, log=draw(st.booleans()))


BOUNDS = {"lr0": (0.0, 1.0), "mosaic": (0.0, 1.0), "box": (0.0, 1e6), "clip_grad_norm": (0.0, 1e6)}


@st.composite
def searched(draw: st.DrawFn) -> dict[str, Parameter]:
    """Parameters as a file may have them: ranges within what their keys allow, one on a condition."""
    space: dict[str, Parameter] = {"optimizer": Categorical(choices=["SGD", "AdamW", "auto"])}
    for name in draw(st.sets(st.sampled_from(sorted(BOUNDS)))):
        least, most = BOUNDS[name]
        low, high = sorted(draw(st.lists(st.floats(least, most), min_size=2, max_size=2, unique=True)))
        when = draw(st.sampled_from([None, {"optimizer": "SGD"}, {"optimizer": ["SGD", "AdamW"]}]))
        space[name] = Float(low=low, high=high, log=draw(st.booleans()) and low > 0, when=when)
    if draw(st.booleans()):
        space["close_mosaic"] = Integer(low=0, high=8, step=draw(st.sampled_from([None, 2, 4])))
    space["freeze"] = Categorical(choices=[None, 3, "backbone"], default=draw(st.sampled_from([None, 3, "backbone"])))
    return space


@given(
    space=searched(),
    search=st.builds(
        Search, trials=st.none() | st.integers(1, 99), seed=st.integers(0, 2**31 - 1),
        budget=st.builds(Budget, epochs=st.none() | st.integers(1, 10**7), wall=st.none() | numbers),
        sampler_args=st.dictionaries(st.text(max_size=5), scalars, max_size=3),
    ),
    resources=st.builds(Resources, gpus=st.just("auto") | st.floats(0, 8), cpus=st.none() | numbers),
    train=st.fixed_dictionaries({}, optional={"imgsz": st.integers(32, 999), "cos_lr": st.booleans(),
                                              "weight_decay": st.floats(0, 1), "copy_paste_mode": st.just("mixup")}),
    trainer=st.fixed_dictionaries({}, optional={"class_weights": st.dictionaries(st.text(), numbers, max_size=3)}),
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,8}", fullmatch=True),
)  # fmt: skip
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_a_space_is_read_back_from_its_file(tmp_path: Path, name: str, **fields: Any) -> None:
    space = Space(model="yolo11n.pt", data="coco8.yaml", name=name, **fields)
    file = tmp_path / "written.yaml"
    file.write_text(space.to_yaml(), encoding="utf-8")
    again = load_space(file)
    assert again == space
    assert again.to_yaml() == space.to_yaml()
    assert {key: type(parameter) for key, parameter in again.space.items()} == {
        key: type(parameter) for key, parameter in space.space.items()
    }


@given(parameter=parameters())
def test_parameters_are_read_back_from_plain_data(parameter: Parameter) -> None:
    assert type(parameter)(**parameter.to_plain()) == parameter
