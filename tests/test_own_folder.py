"""A start writes over nothing that is not its study's, and what it made goes if it comes to nothing."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

from raytrainer import api
from raytrainer.config.layout import StudyFolder
from raytrainer.config.load import load_space
from raytrainer.config.problems import UserError
from raytrainer.config.space import Space
from raytrainer.own_folder import beside, refuse_foreign
from raytrainer.search.study import Study

TEXT = """# mine
model: {model}
data: {data}
train: {{epochs: 1, imgsz: 64, optimizer: AdamW}}
search: {{trials: 2, budget: {{wall: 1e-12}}}}
space: {{lr0: {{low: 0.001, high: 0.1}}}}
"""


@pytest.fixture
def here(bccd: Path, yolo_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a space whose budget is spent before a cluster is needed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(TEXT.format(model=yolo_tiny, data=bccd))
    return tmp_path


def asked(storage: str = ".", **flags: str) -> Space:
    return load_space("mine.yaml", flags={"storage": storage, "name": "cells", **flags})


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder, and what is in it; and every empty folder."""
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*")}
    return {name: path.read_text() if path.is_file() else "" for name, path in found.items() if "study.l" not in name}


def begin(space: Space, folder: str, trials: int = 1) -> None:
    """The study of a space with so many trials, as a driver that was killed leaves it."""
    with Study.open(Path(folder), space) as study:
        for number in range(trials):
            assert study._begin(None) == number
            study.report(number, 1, 0.5)
            study.folder.trial(number).mkdir(parents=True)
        study.folder.space.write_text(space.to_yaml())


@pytest.mark.parametrize(
    ("there", "told"),
    [
        ("space.yaml", "cells: has space.yaml, but no study that this would go on with: choose another --name"),
        ("files/model/yolo-tiny.yaml/x", "cells: has files, but no study"),
        ("files/mine", "cells: has files, but no study"),
        ("trials/x", "cells: has trials, but no study"),
        ("best/best.pt", "cells: has best, but no study"),
    ],
)
@pytest.mark.parametrize("storage", [".", "sqlite:///a.db"])
def test_what_is_no_studys_is_left_alone(here: Path, there: str, told: str, storage: str) -> None:
    folder = here / ("cells" if storage == "." else "runs/cells")
    (folder / there).parent.mkdir(parents=True)
    (folder / there).write_text((here / "mine.yaml").read_text())
    before = contents(folder)
    with pytest.raises(UserError, match=told):
        api.run_study(asked(storage))
    assert contents(folder) == before
    assert beside(asked(storage)).name == "cells-2"


def test_a_space_of_ones_own_that_names_the_database_is_no_studys(here: Path) -> None:
    Path("runs/cells").mkdir(parents=True)
    Path("runs/cells/space.yaml").write_text((here / "mine.yaml").read_text() + "storage: sqlite:///a.db\n")
    with pytest.raises(UserError, match=r"has space\.yaml, but no study"):
        refuse_foreign(StudyFolder(here / "runs" / "cells"), asked("sqlite:///a.db"))


@pytest.mark.parametrize("there", [(), ("images/a.jpg", "data.yaml"), ("files/model/yolo-tiny.yaml",)])
def test_a_start_that_comes_to_nothing_leaves_what_was_there(here: Path, there: tuple[str, ...]) -> None:
    """Its budget is spent before the first trial."""
    (here / "cells" / "trials").mkdir(parents=True)
    for name in there:
        (here / "cells" / name).parent.mkdir(parents=True, exist_ok=True)
        (here / "cells" / name).touch()
    before = contents(here / "cells")
    assert not api.run_study(asked()).trials
    assert contents(here / "cells") | {"driver.log": ""} == before | {"driver.log": ""}


A, B = "sqlite:///a.db", "sqlite:///b.db"


@pytest.mark.parametrize(("first", "second"), [(A, B), ("runs", A), (A, "runs")])
@pytest.mark.parametrize("begun", [0, 1])
def test_a_folder_has_one_study(here: Path, first: str, second: str, begun: int) -> None:
    space, folder = asked(first), here / "runs" / "cells"
    begin(space, "runs/cells", trials=begun)
    before = contents(folder)
    with pytest.raises(UserError, match=r"runs/cells: has another study, the one in .*: choose another --name") as told:
        api.run_study(asked(second))
    assert str(space.storage.url or folder / "study.journal") in str(told.value)
    assert contents(folder) == before
    refuse_foreign(StudyFolder(folder), space)


@pytest.mark.parametrize("storage", ["runs", A])
def test_trials_whose_study_is_gone_are_not_taken_over(here: Path, storage: str) -> None:
    begin(asked(storage), "runs/cells")
    for name in ("a.db", "runs/cells/study.journal"):
        (here / name).unlink(missing_ok=True)
    before = contents(here / "runs/cells")
    told = "has trials of a study that is not in sqlite" if storage == A else "has space.yaml and trials, but no study"
    with pytest.raises(UserError, match=told):
        api.run_study(asked(storage))
    after = contents(here / "runs/cells")
    assert {name: after[name] for name in before} == before


@pytest.mark.parametrize("begun", [1, 0])
def test_a_study_whose_space_file_is_gone_goes_on(here: Path, begun: int) -> None:
    """Its trials are at the URL; without any, those in the folder are another's."""
    begin(asked(A), "runs/cells", begun)
    folder = StudyFolder(here / "runs" / "cells")
    folder.space.unlink()
    folder.trial(0).mkdir(parents=True, exist_ok=True)
    with nullcontext() if begun else pytest.raises(UserError, match="has trials, but no study"):
        refuse_foreign(folder, asked(A))
