"""An interrupted run goes on as if it had never been: the same weights and the same fitness, bit for bit on a CPU."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ultralytics.utils import LOGGER, RANK

from raytrainer.config.problems import Problem, UserError
from raytrainer.config.settings import Settings
from raytrainer.trainer import atomic, run_state, state_file
from raytrainer.trainer.checkpoint import RECORDS_FILE, SETTINGS_FILE, data_of, place_of
from raytrainer.trainer.clip import COLUMNS
from raytrainer.trainer.contract import Customisation
from raytrainer.trainer.data_order import LoaderPosition
from raytrainer.trainer.ranks import is_main
from raytrainer.trainer.records import EpochRecord, read_records, told_since, write_records
from raytrainer.trainer.state_file import State
from raytrainer.trainer.stock_layout import regrouped

FREE = frozenset(
    {"data", "device", "workers", "project", "name", "exist_ok", "save_dir", "resume", "mode", "save", "save_period",
     "plots", "verbose"}
)  # fmt: skip
"""Arguments that may change on a resume: they do not change what is trained. A dataset is compared by its contents."""
FILES = frozenset({"model", "pretrained"})
"""Arguments that may name a file, which may lie in another folder on another machine."""


def changed_arguments(now: Mapping[str, Any], *before: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Arguments that are what they were in none of `before`, each with its value then and now."""
    keys = sorted({key for arguments in (now, *before) for key in arguments} - FREE)
    return {
        key: (before[0].get(key), now.get(key))
        for key in keys
        if all(_meant(key, arguments) != _meant(key, now) for arguments in before)
    }


def _meant(key: str, arguments: Mapping[str, Any]) -> Any:
    value = arguments.get(key)
    return Path(value).name if key in FILES and isinstance(value, str) else value


def check_unchanged(what: str, file: Path, changed: Mapping[str, tuple[Any, Any]]) -> None:
    """Raise one problem for each difference.

    Raises:
        UserError: if there are any; the text says what it was and what it is, and what can be done.
    """
    problems = [
        Problem(str(file), None, key, f"this {what} was {then!r} when the run began and is {now!r} now; "
                "change it back to go on, or start a new run")
        for key, (then, now) in changed.items()
    ]  # fmt: skip
    if problems:
        raise UserError(problems)


class ExactResume(Customisation):
    """Runs on `check_resume`, `resume_training`, `_close_dataloader_mosaic` and the start of the first epoch.

    Upstream goes on from a half-precision average of the weights, with the data order of epoch 0 and fresh random
    states. Here all of it comes from state.pt, when the run is resumed from the last.pt beside it, or when
    `raytrainer.trainer.run.train` found it. Without a state.pt, upstream's resume is kept.
    """

    events = {
        "on_train_start": "_go_on",
        "on_train_epoch_start": "_take_position",
        "on_train_batch_start": "_follow_loader",
    }

    saved_state: State | None = None
    """State to go on from, set on the class by `raytrainer.trainer.run.train`."""
    records: list[EpochRecord]
    told: dict[int, EpochRecord]
    position: LoaderPosition
    _unfinished: State | None = None
    _gradients_of: State | None = None
    _close_mosaic: int | None = None

    def check_resume(self, overrides: dict[str, Any]) -> None:
        """Find the state to go on from, and compare what was asked for then and now.

        Raises:
            UserError: if settings or arguments changed that matter; it lists them all.
        """
        super().check_resume(overrides)
        self.arguments = run_state.plain(vars(self.args))
        self.records, self.position = [], LoaderPosition()
        self.saved_state = self.saved_state or self._state_beside_checkpoint()
        if self.saved_state is not None:
            self._check_same(self.saved_state)
            self.args.batch = self.saved_state["arguments"]["settled"]["batch"]  # fitted, or halved for want of memory

    def _state_beside_checkpoint(self) -> State | None:
        checkpoint = Path(str(self.args.model))
        if not self.resume or checkpoint.name != "last.pt":
            return None
        state = state_file.read_state(checkpoint.parent)
        return None if state is None or state["finished"] else state

    def _check_same(self, state: State) -> None:
        folder = Path(str(self.args.save_dir))
        file = folder / "weights" / SETTINGS_FILE
        check_unchanged("setting", file, Settings.model_validate(state["settings"]).difference(self.settings))
        now = {k: v for k, v in self.arguments.items() if not (self.resume and k == "model")}  # it is last.pt then
        asked, settled = (
            {key: value for key, value in state["arguments"][kind].items() if key in now or key != "model"}
            for kind in ("asked", "settled")
        )
        check_unchanged("training argument", folder / "args.yaml", changed_arguments(now, asked, settled))

    def resume_training(self, ckpt: Mapping[str, Any] | None) -> None:
        """Restore the saved state; without one, do what upstream does, and clear away what an earlier run left.

        Raises:
            UserError: if the dataset or the number of ranks is not the one that the run began with.
        """
        state, self.saved_state, self.told = self.saved_state, None, {}
        if is_main():
            (Path(self.wdir) / state_file.BEST_ASIDE).unlink(missing_ok=True)
        if state is not None and not _overtaken(state, ckpt):
            self._restore(state)
        elif self.resume:
            self._resume_as_upstream(ckpt)
        elif is_main():
            state_file.remove_states(self.wdir)
        if is_main():
            atomic.write_bytes(Path(self.wdir) / SETTINGS_FILE, self.settings.to_yaml().encode())
            write_records(self.save_dir / RECORDS_FILE, [*self.records, *self.told.values()])

    def _resume_as_upstream(self, ckpt: Mapping[str, Any] | None) -> None:
        file = Path(self.wdir) / SETTINGS_FILE
        if file.exists():
            before = Settings.from_yaml(file.read_text(encoding="utf-8"))
            check_unchanged("setting", file, before.difference(self.settings))
        LOGGER.warning(
            f"there is no state to go on from exactly beside {self.args.model}: resuming as Ultralytics does"
        )
        super().resume_training(ckpt)
        self.set_class_weights()  # upstream gave an end-to-end head a new criterion
        self.records = [r for r in read_records(self.save_dir / RECORDS_FILE) if r.epoch <= self.start_epoch]

    def _restore(self, state: State) -> None:
        now = {**data_of(self), "world_size": max(self.world_size, 1)}
        then = {**state["data"], "world_size": state["world_size"]}
        check_unchanged("property of the run", self.save_dir, changed_arguments(now, then))
        place = place_of(self)
        if changed := {key: (was, place[key]) for key, was in state["place"].items() if was != place[key]}:
            LOGGER.warning(f"the resumed run may differ in the last bits, which depend on {_listed(changed)}")
        state = regrouped(self, state) if state.get("changed") else state
        run_state.restore_shared_state(self, state)
        run_state.restore_buffers(self, state["ranks"][max(RANK, 0)])
        run_state.restore_criterion(self, state)
        self.start_epoch = state["epoch"]
        self.records = [EpochRecord.from_json(line) for line in state["records"]]
        if is_main():
            self.told = {record.epoch: record for record in told_since(self.save_dir / RECORDS_FILE, self.records)}
        self.go_on_from_checkpoint()
        self._unfinished = state
        if is_main() and state["csv"]:
            atomic.write_bytes(self.csv, state["csv"].encode())
        LOGGER.info(f"Going on exactly after epoch {self.start_epoch} of {self.epochs}")

    def _go_on(self) -> None:
        """The loop is set up and its first epoch begins next."""
        if self._unfinished is None:
            return
        self.train_time_start -= self._unfinished["seconds"] if not self.args.time else 0
        self.resume_rhythm(self._unfinished["last_step"])
        if self._unfinished["mosaic_closed"]:
            # The loop would close it now and make a second iterator, which draws from the loader's generator.
            self._close_dataloader_mosaic()
            self._close_mosaic, self.args.close_mosaic = self.args.close_mosaic, 0

    def _take_position(self) -> None:
        """Put the loader and the random states in place; nothing is drawn between here and the first batch."""
        state, self._unfinished = self._unfinished, None
        if state is None:
            if getattr(self.train_loader, "iterator", None) is None:
                self.position.before_iterator(self.train_loader)
            return
        if self._close_mosaic is not None:
            self._close_mosaic, self.args.close_mosaic = None, self._close_mosaic
        mine = state["ranks"][max(RANK, 0)]
        self._gradients_of = state
        self.position.restore(self.train_loader, mine["loader"])
        run_state.restore_chances(self, mine)

    def _follow_loader(self) -> None:
        self.position.batch_taken()
        state, self._gradients_of = self._gradients_of, None
        if state is not None:  # not before: a layer that trains again at the start of an epoch drops its gradients
            run_state.restore_gradients(self, state)

    def _close_dataloader_mosaic(self) -> None:
        """Close as upstream does; the loop then resets the loader, whose next iterator begins from here."""
        super()._close_dataloader_mosaic()
        self.mosaic_closed = True
        self.position.before_iterator(self.train_loader)


def _listed(changed: Mapping[str, tuple[Any, Any]]) -> str:
    return ", ".join(f"{key} (was {then}, is {now})" for key, (then, now) in changed.items())


def _overtaken(state: State, ckpt: Mapping[str, Any] | None) -> bool:
    """Whether the run was continued without this package: last.pt is further on than an interruption explains, and
    lacks what every epoch here adds to its metrics, since the next checkpoint may be many epochs after the last."""
    if ckpt is None or ckpt.get("epoch", -1) + 1 - state["epoch"] <= 2:
        return False
    return COLUMNS[0] not in (ckpt.get("train_metrics") or {})
