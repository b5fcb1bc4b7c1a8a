"""What class weights and a layer-wise rate bring when a pretrained checkpoint is fine-tuned on imbalanced images.

Every variant is trained with the same seeds, so that the differences to the stock defaults are paired by seed. But for
the epochs, the image size and the batch, all arguments are Ultralytics' defaults. A finished training is kept in a file
at once; the same command later goes on from there.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from measuring import BLOOD_CELLS, PRETRAINED, Kept, mean_and_spread, options, publish, standard_error, subset, table
from raytrainer.config.assemble import TrialConfig
from raytrainer.config.dataset import read_dataset
from raytrainer.config.settings import Settings
from raytrainer.trainer.environment import prepare_process

VARIANTS = {
    "stock defaults": Settings(),
    "class weights": Settings(class_weights="inverse_frequency", class_weights_power=0.5),
    "layer-wise rate": Settings(backbone_lr_ratio=0.1),
    "both": Settings(class_weights="inverse_frequency", class_weights_power=0.5, backbone_lr_ratio=0.1),
}


Score = Mapping[str, float]
"""Of the best epoch of one training by the stock fitness, `overall`: mAP50-95, and `rarest`: AP of the class with the
fewest training instances."""


def score(settings: Settings, seed: int, data: Path, rarest: str, chosen: argparse.Namespace) -> dict[str, float]:
    """Train once and validate every epoch."""
    from raytrainer.trainer.run import train

    arguments = {
        "data": str(data), "epochs": chosen.epochs, "imgsz": chosen.imgsz, "batch": 8, "seed": seed,
        "device": chosen.device, "workers": 0, "plots": False, "verbose": False,
    }  # fmt: skip
    config = TrialConfig(model=str(chosen.model), train=arguments, settings=settings, params={})
    with tempfile.TemporaryDirectory() as folder:
        result = train(config, Path(folder), threads=chosen.threads, final_eval=False)
    best = next(record for record in result.records if record.epoch == result.best_epoch)
    return {"overall": best.metrics["mAP50-95"], "rarest": best.metrics[f"AP[{rarest}]"]}


def difference(values: Sequence[float], stock: Sequence[float]) -> str:
    """Mean paired difference with its standard error, and whether it is beyond twice that."""
    differences = [value - other for value, other in zip(values, stock, strict=True)]
    mean, error = statistics.fmean(differences), standard_error(differences)
    if abs(mean) <= 2 * error:
        return f"{mean:+.3f} ± {error:.3f}, nothing beyond noise"
    return f"{mean:+.3f} ± {error:.3f}, {'a gain' if mean > 0 else 'a loss'}"


def rows(scores: dict[str, list[Score]]) -> list[list[str]]:
    """One row a variant: both metrics, and both differences to the stock defaults."""
    stock = scores["stock defaults"]
    made = []
    for name, mine in scores.items():
        columns = []
        for metric in ("overall", "rarest"):
            values, others = ([s[metric] for s in each] for each in (mine, stock))
            columns += [mean_and_spread(values), "" if mine is stock else difference(values, others)]
        made.append([name, *columns])
    return made


def main() -> None:
    """Train every variant with every seed and print the table."""
    parser = options(__doc__ or "")
    parser.add_argument("--data", type=Path, default=BLOOD_CELLS)
    parser.add_argument("--model", type=Path, default=PRETRAINED)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--imgsz", type=int, default=160)
    parser.add_argument("--train", type=int, help="training images, all by default")
    parser.add_argument("--val", type=int, help="validation images, all by default")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--kept", type=Path, default=Path(tempfile.gettempdir()) / "finetune.jsonl", help="runs so far")
    chosen = parser.parse_args()
    prepare_process(offline=True)
    kept, scores = Kept(chosen.kept), dict[str, list[Score]]((name, []) for name in VARIANTS)
    trained_with = {key: str(value) for key, value in vars(chosen).items() if key not in ("write", "seeds", "kept")}
    with tempfile.TemporaryDirectory() as folder:
        data = subset(chosen.data, Path(folder), train=chosen.train, val=chosen.val)
        counts = read_dataset(str(data)).counts
        rarest = min(counts, key=lambda name: counts[name])
        for seed in range(chosen.seeds):
            for name, settings in VARIANTS.items():
                key = {**trained_with, "seed": seed, "settings": settings.model_dump(mode="json", exclude_unset=True)}
                scores[name].append(kept.get(key, partial(score, settings, seed, data, rarest, chosen)))
    header = ["variant", "mAP50-95", "against stock", f"AP of {rarest}", "against stock"]
    note = f"Mean ± standard deviation over {chosen.seeds} seeds; differences are paired by seed, ± standard error."
    publish("finetune", f"{table(header, rows(scores))}\n\n{note}", write=chosen.write)


if __name__ == "__main__":
    main()
