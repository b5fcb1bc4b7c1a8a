"""Memory and time of loading for 1, 2 and 4 trials at once on the same images: `shared` beside `ram` and `disk`.

Each trial is a process of its own that builds its training dataset and takes every image from it, augmented, in two
epochs, without the training between, which costs the same with any cache. All start together, and each waits at the
end of either epoch for the others. Memory is the sum of the proportional set sizes (PSS) of all of them at the end of
the second epoch, and that less the same without any cache: pages that several processes share count once, those of
libraries not at all. Times are means over the trials, in CPU seconds, into which other work of the machine does not
enter; the first epoch's is from the beginning of the dataset. Then one trial more begins while the others are still
there, which is how most trials of a study begin: the last column. The images are the data set's, each several times
under another name.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import statistics
import tempfile
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from measuring import BLOOD_CELLS, options, publish, subset, table
from raytrainer.trainer.environment import prepare_process

MODEL = "tests/models/yolo-tiny.yaml"
CACHES: tuple[str | bool, ...] = (False, "ram", "disk", "shared")
PATIENCE = 300.0
MIB = 2**20

Measured = tuple[float, float, int]
"""CPU seconds of the first epoch, of the second, and bytes of memory at its end."""


def proportional_bytes() -> int:
    """PSS of this process without files' pages: its own memory, and its share of what others map too."""
    fields = dict(line.split(":") for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
    return sum(int(fields[kind].split()[0]) * 1024 for kind in ("Pss_Anon", "Pss_Shmem"))


def trial(arguments: dict[str, Any], together: Barrier, results: Any) -> None:
    """Load two epochs, in step with the other trials, and tell what they took."""
    prepare_process(offline=True)
    from ultralytics.models.yolo.detect import DetectionTrainer

    from raytrainer.trainer.compose import compose

    trainer: Any = compose(DetectionTrainer)(overrides=arguments)
    trainer.setup_model()
    together.wait(PATIENCE)
    seconds, begun, dataset = [], time.process_time(), None
    for _ in range(2):
        dataset = dataset or trainer.build_dataset(trainer.data["train"], "train", arguments["batch"])
        for index in range(len(dataset)):
            dataset[index]
        seconds.append(time.process_time() - begun)
        together.wait(PATIENCE)
        begun = time.process_time()
    results.put((seconds[0], seconds[1], proportional_bytes()))
    together.wait(PATIENCE)  # all are measured
    together.wait(PATIENCE)  # and the late trial has begun and ended


def at_once(count: int, arguments: dict[str, Any], folder: Path) -> tuple[list[Measured], Measured]:
    """Run so many trials at once, then one more; what each took."""
    spawn = multiprocessing.get_context("spawn")
    together, results, alone, late = spawn.Barrier(count + 1), spawn.Queue(), spawn.Barrier(1), spawn.Queue()
    processes = [
        spawn.Process(target=trial, args=(arguments | {"save_dir": str(folder / str(n))}, together, results))
        for n in range(count)
    ]
    for process in processes:
        process.start()
    for _ in range(3):
        together.wait(PATIENCE)
    measured = [results.get() for _ in processes]
    together.wait(PATIENCE)
    last = spawn.Process(target=trial, args=(arguments | {"save_dir": str(folder / "late")}, alone, late))
    last.start()
    after: Measured = late.get()
    last.join()
    together.wait(PATIENCE)
    for process in processes:
        process.join()
    return measured, after


def repeated(data: Path, times: int) -> Path:
    """Give every image, with its labels, so many names."""
    for file in [path for path in data.parent.glob("*/*/*") if path.suffix != ".cache"]:
        for number in range(1, times):
            shutil.copy(file, file.with_name(f"{file.stem}-{number}{file.suffix}"))
    return data


def rows(chosen: argparse.Namespace, folder: Path) -> list[list[object]]:
    """One row for each cache and number of trials."""
    found: list[list[object]] = []
    bare: dict[int, int] = {}
    for count in chosen.trials:
        for cache in CACHES:
            data = repeated(subset(chosen.data, folder / f"{cache}-{count}", train=chosen.images, val=8), chosen.times)
            measured, after = at_once(count, arguments_of(chosen, data, cache), folder / f"runs-{cache}-{count}")
            memory = sum(each for _, _, each in measured)
            bare.setdefault(count, memory)
            times = [statistics.fmean(each[epoch] for each in measured) for epoch in (0, 1)]
            images = "" if cache is False else f"{(memory - bare[count]) / MIB:.0f}"
            shown = [f"{seconds:.2f}" for seconds in (*times, after[0])]
            found.append([count, cache or "none", f"{memory / MIB:.0f}", images, *shown])
    return found


def arguments_of(chosen: argparse.Namespace, data: Path, cache: str | bool) -> dict[str, Any]:
    """The Ultralytics arguments of a trial."""
    return {
        "model": MODEL, "data": str(data), "imgsz": chosen.imgsz, "batch": chosen.batch, "device": "cpu",
        "workers": 0, "amp": False, "mosaic": 0.0, "plots": False, "pretrained": False, "exist_ok": True,
        "verbose": False, "cache": cache,
    }  # fmt: skip


def main() -> None:
    """Measure each cache with each number of trials."""
    parser = options(__doc__ or "")
    parser.add_argument("--data", type=Path, default=BLOOD_CELLS)
    parser.add_argument("--images", type=int, default=205, help="training images that are different")
    parser.add_argument("--times", type=int, default=3, help="names that each of them has")
    parser.add_argument("--trials", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--batch", type=int, default=16)
    chosen = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        header = ["trials", "cache", "memory, MiB", "of images", "first epoch, CPU s", "second", "a late trial's first"]
        publish("image_cache", table(header, rows(chosen, Path(folder))), write=chosen.write)


if __name__ == "__main__":
    main()
