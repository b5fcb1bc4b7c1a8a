"""What a space names lies in the study's folder, and stays what the study was begun with."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrainer.cluster.gathered import gathered
from raytrainer.config.fitness import parse_fitness
from raytrainer.config.layout import StudyFolder
from raytrainer.config.load import load_space
from raytrainer.config.problems import UserError
from raytrainer.config.space import Space

MODEL = Path(__file__).parents[1] / "models" / "yolo-tiny.yaml"
SPACE = """
model: tiny.yaml
data: coco8.yaml
fitness: fit.py:fit
train: {pretrained: weights.pt}
space: {lr0: [0.1, 0.2]}
"""


def written(folder: Path, fitness: str = "def fit(metrics):\n    return 1.0\n") -> Space:
    """A space in a folder, with what it names."""
    folder.mkdir(exist_ok=True)
    (folder / "tiny.yaml").write_bytes(MODEL.read_bytes())
    (folder / "fit.py").write_text(fitness)
    (folder / "weights.pt").write_bytes(b"weights")
    (folder / "cells.yaml").write_text(SPACE)
    return load_space(folder / "cells.yaml")


def test_copies_take_the_places_of_the_files(tmp_path: Path) -> None:
    space, study = written(tmp_path / "mine"), StudyFolder(tmp_path / "studies" / "cells")
    there = gathered(space, study)
    assert there.model == str(study.files / "model" / "tiny.yaml")
    assert there.train == {"pretrained": str(study.files / "pretrained" / "weights.pt")}
    assert there.data == "coco8.yaml"
    assert Path(there.model).read_bytes() == MODEL.read_bytes()
    assert parse_fitness(there.fitness)({}) == 1.0
    assert gathered(there, study) == there == gathered(written(tmp_path / "elsewhere"), study)


def test_another_file_of_the_same_name_is_refused(tmp_path: Path) -> None:
    study = StudyFolder(tmp_path / "studies" / "cells")
    gathered(written(tmp_path / "mine"), study)
    changed = written(tmp_path / "mine", "def fit(metrics):\n    return 2.0\n")
    with pytest.raises(UserError, match=r"cells.yaml:4: fitness: the study was begun with another fit.py, .*/files/"):
        gathered(changed, study)


def test_a_checkpoint_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    space, study = Space(model="yolo11n", data="coco8.yaml"), StudyFolder(tmp_path / "cells")
    assert gathered(space, study, by_name=True) == space, "it is not here yet"
    (tmp_path / "yolo11n.pt").write_bytes(b"weights")
    assert gathered(space, study) == space
    assert gathered(space, study, by_name=True).model == str(study.files / "model" / "yolo11n.pt")
