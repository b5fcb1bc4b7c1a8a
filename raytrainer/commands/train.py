"""`raytrainer train`."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentTypeError, Namespace
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from raytrainer.commands.parser import Parser
from raytrainer.commands.settings_flags import add_settings, key, setting_value, settings_changes
from raytrainer.config.document import assignment
from raytrainer.config.form import SECTIONS
from raytrainer.config.problems import Problem, UserError
from raytrainer.config.remote_data import pin
from raytrainer.config.settings import Settings
from raytrainer.config.space import NAME, as_name
from raytrainer.config.storage import Storage
from raytrainer.results.request import TAKEN, Change, Request, request

if TYPE_CHECKING:
    from raytrainer.trainer.run import TrainResult

DESCRIPTION = """Train once, without a search.

With a best.yaml, the training that a study found best: on the same machine to the same fitness, digit by digit.
Without one, --model and --data, as `yolo train` does, with every setting of the composed trainer.
Run again with the same flags, it goes on where it was interrupted."""

EXAMPLES = """  raytrainer train runs/detr/best/best.yaml
  raytrainer train runs/detr/best/best.yaml --epochs 100 --seed 1 --name long
  raytrainer train --model rtdetr-l.pt --data cells.yaml --epochs 50 --backbone-lr-ratio 0.1 --clip-grad-norm 0.1
  raytrainer train --model yolo11n.pt --data cells.yaml --freeze backbone --unfreeze-epoch 3 imgsz=320 batch=8
  raytrainer train --model yolo11n.pt --data cells.yaml --class-weights RBC=1,Platelets=4 --fitness 'AP[Platelets]'"""

FLAGS = {"model": "--model", "data": "--data", "train.epochs": "--epochs", "train.seed": "--seed"}


ELSEWHERE = {
    "name": "is given as --name",
    "project": "is given as --storage",
    "exist_ok": "is not needed: the same command goes on, and --fresh begins anew",
    "resume": "is not needed: the same command goes on where it was interrupted",
    "time": "is not served: give --epochs",
}
"""Arguments of `yolo train` that are something else here."""


def parser() -> Parser:
    """What may be given."""
    made = Parser("train", DESCRIPTION, EXAMPLES)
    made.add_argument(
        "given", nargs="*", metavar="best.yaml | KEY=VALUE",
        help="file that a study or `raytrainer export` wrote; Ultralytics' training arguments, such as lr0=0.001",
    )  # fmt: skip
    made.add_argument("--model", metavar="M", help="checkpoint or model YAML, YOLO or RT-DETR")
    made.add_argument("--data", metavar="D", help="dataset, as Ultralytics has it")
    made.add_argument("--epochs", dest="train.epochs", metavar="N", help="epochs of the training")
    made.add_argument("--seed", dest="train.seed", metavar="N", help="seed of the training")
    made.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="the same as KEY=VALUE alone; repeatable"
    )
    made.add_argument("--device", metavar="D", help="cpu, mps, or the number of a GPU (default: a GPU if there is one)")
    made.add_argument(
        "--threads", type=_threads, metavar="N", help="threads of torch on a CPU; part of what gives the same bits"
    )
    made.add_argument("--name", metavar="NAME", help="folder of the run, below train/ of --storage")
    made.add_argument("--storage", metavar="DIR", default="runs", help="where to (default: runs)")
    made.add_argument("--fresh", action="store_true", help="begin a new run beside one of the same name")
    add_settings(made)
    return made


def run(args: Namespace) -> int:
    """Train, and say what came of it; 0, or 1 if the training failed.

    Raises:
        UserError: for everything that is wrong with what was asked for.
    """
    best, arguments = _split(args.given)
    changes = [*_changes(args), *(_argument(text) for text in [*args.set, *arguments])]
    device = _device(args.device, changes)
    asked = request(best, [change for change in changes if change.key != "train.device"])
    asked = _with_demo(asked)
    return _train(asked, _folder(args, asked), args.threads, device)


def _split(given: list[str]) -> tuple[Path | None, list[str]]:
    files = [each for each in given if "=" not in each]
    if len(files) > 1:
        raise UserError([Problem(None, None, None, f"expected one best.yaml, got {', '.join(files)}")])
    if files and not files[0].endswith((".yaml", ".yml")):
        message = f"expected a best.yaml or KEY=VALUE, got {files[0]!r}; a model is given as --model {files[0]}"
        raise UserError([Problem(None, None, None, message)])
    return (Path(files[0]) if files else None), [each for each in given if "=" in each]


def _changes(args: Namespace) -> Iterator[Change]:
    values = vars(args)
    yield from (Change(path, values[path], flag) for path, flag in FLAGS.items() if values[path] is not None)
    yield from settings_changes(args)


def _threads(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"invalid int value: {text!r}; expected 1 or more")
    return int(text)


def _argument(text: str) -> Change:
    """`lr0=0.001` is an argument of Ultralytics, or a setting if there is one of that name.

    Raises:
        UserError: if it has no value, or is a key that only a search has, which would do nothing here.
    """
    name, value = assignment(text)
    if not name:
        raise UserError([Problem(text, None, None, "expected KEY=VALUE, such as imgsz=320")])
    bare = name.removeprefix("trainer.")
    if bare in Settings.model_fields:
        return Change(key(bare), setting_value(bare, value), text)
    dotted = name if name in ("model", "data") or "." in name else f"train.{name}"
    if (argument := dotted.removeprefix("train.")) in ELSEWHERE:
        raise UserError([Problem(text, None, argument, ELSEWHERE[argument])])
    if (section := dotted.partition(".")[0]) in SECTIONS and section not in TAKEN:
        raise UserError([Problem(text, None, dotted, f"{section}: is for a search; a training outside one has none")])
    return Change(dotted, value, text)


def _device(flag: str | None, changes: list[Change]) -> str | None:
    given = [flag] if flag is not None else [change.value for change in changes if change.key == "train.device"]
    device = given[-1] if given else None
    if device is not None and "," in device:
        message = f"a training outside a study runs on one device, not on {device}"
        raise UserError([Problem("--device", None, None, message)])
    return device


def _with_demo(asked: Request) -> Request:
    from raytrainer.demo import materialise

    return replace(asked, space=pin(materialise(asked.space)))


def _folder(args: Namespace, asked: Request) -> Path:
    name = args.name or (
        f"{asked.best.study.name}-{asked.best.study.trial}" if asked.best else as_name(Path(asked.space.model).stem)
    )
    if not re.match(NAME, name):
        raise UserError([Problem("--name", None, None, f"expected letters, digits, '.', '_' and '-', got {name!r}")])
    folder = Path(_storage(args.storage)) / "train" / name
    if not args.fresh:
        return folder
    beside = (folder, *(folder.with_name(f"{name}-{n}") for n in range(2, 10_000)))
    return next(path for path in beside if not path.exists())


def _storage(given: str) -> str:
    try:
        storage = Storage.parse(given)
    except ValueError as error:
        raise UserError([Problem("--storage", None, None, str(error))]) from None
    if storage.url is not None:
        message = f"expected a folder, got {storage.url}: a training outside a study is in no database"
        raise UserError([Problem("--storage", None, None, message)])
    return storage.folder


def _train(asked: Request, folder: Path, threads: int | None, device: str | None) -> int:
    from raytrainer.results.retrain import departures, train_request

    for line in departures(asked):
        print(f"warning: {line}", file=sys.stderr)
    trained: list[int] = []
    try:
        result = train_request(
            asked, folder, threads=threads, device=device, on_epoch=lambda record: trained.append(record.epoch)
        )
    except UserError as error:
        raise UserError(_of_the_flag(problem) for problem in error.problems) from error.__cause__
    except RuntimeError as error:
        from raytrainer.trainer.run import NonFinite, OutOfMemory

        if not isinstance(error, NonFinite | OutOfMemory):
            raise
        print(f"the training failed: {error}", file=sys.stderr)
        return 1
    _conclude(asked, result, bool(trained))
    return 0


def _of_the_flag(problem: Problem) -> Problem:
    """The device is no part of what is asked of a training, so only the flag can have named it."""
    return replace(problem, file="--device", line=None, key=None) if problem.key == "train.device" else problem


def _conclude(asked: Request, result: TrainResult, trained: bool) -> None:
    from raytrainer.results.announcement import shown
    from raytrainer.trainer.metrics import table

    best = next(record for record in result.records if record.epoch == result.best_epoch)
    if not trained:
        print("this run had finished before; nothing was trained. --fresh or another --name begins a new one")
        print(table(best.metrics, _classes(best.metrics)))
    print(
        f"Best fitness {result.best_fitness:.4f} at epoch {result.best_epoch} of {result.records[-1].epoch}"
        f"{_recorded(asked, result.best_fitness)}. Weights: {shown(result.best)}"
    )


def _classes(metrics: Mapping[str, float]) -> dict[int, str]:
    """Those that the metrics are of, in their order, which the dataset need not have: `single_cls` makes one of all."""
    return dict(enumerate(dict.fromkeys(name.partition("[")[2][:-1] for name in metrics if "[" in name)))


def _recorded(asked: Request, fitness: float) -> str:
    if asked.best is None or asked.best.best_fitness is None or asked.changes:
        return ""
    if fitness == asked.best.best_fitness:
        return ", the same as the study's to the last digit"
    return f", {fitness - asked.best.best_fitness:+.2g} against the study's {asked.best.best_fitness:.4f}"
