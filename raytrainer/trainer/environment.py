"""What a process must have in place before `ultralytics` is first imported, which reads its environment only then."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path

FONTS = ("Arial.ttf", "Arial.Unicode.ttf")
"""What Ultralytics draws labels with, and downloads if its folder lacks it; the second is for names beyond ASCII."""


SAFE_LOAD = "ULTRALYTICS_SAFE_LOAD"
"""Lets Ultralytics load checkpoints of known classes only, and build models without `eval`; 0 trusts every file."""


def prepare_process(*, offline: bool) -> None:
    """Set up this process, and those that it starts, for Ultralytics. Calling it again changes nothing.

    Nothing is installed behind the user's back, a checkpoint runs no code when it is loaded, figures are drawn without
    a display, and Ultralytics gets a settings folder of its own if the user's is not writable, as in many containers.

    Args:
        offline: also forbid every look-up and download. A trial on a worker never needs one, since its files were
            fetched before it began; at home, a model such as `rtdetr-l.pt` may still have to be downloaded.

    What the user has set in the environment stays. Must be called before `ultralytics` is imported, since it reads
    most of this only then.
    """
    os.environ.setdefault("YOLO_AUTOINSTALL", "0")
    os.environ.setdefault("MPLBACKEND", "Agg")
    os.environ.setdefault(SAFE_LOAD, "1")
    if not _writable(_settings_folder()):
        os.environ["YOLO_CONFIG_DIR"] = str(_private_folder())
    if offline:
        os.environ["YOLO_OFFLINE"] = "1"
        _place_fonts(_settings_folder())


def _settings_folder() -> Path:
    """Where Ultralytics will keep its settings. Source: `ultralytics.utils.get_user_config_dir` of 8.4.190."""
    if chosen := os.environ.get("YOLO_CONFIG_DIR"):
        return Path(chosen).expanduser() / "Ultralytics"
    system = platform.system()
    if system == "Windows":
        return Path.home() / "AppData" / "Roaming" / "Ultralytics"
    if system == "Darwin":
        return Path.home() / "Library" / "Application Support" / "Ultralytics"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "Ultralytics"


def _writable(folder: Path) -> bool:
    """Whether files can be made in a folder, which is made if need be. On some mounts only trying tells."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _private_folder() -> Path:
    """A folder of this user's, the same for all of its processes, so that they share settings and fonts."""
    user = os.getuid() if sys.platform != "win32" else os.environ.get("USERNAME", "user")
    folder = Path(tempfile.gettempdir()) / f"raytrainer-ultralytics-{user}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    if sys.platform != "win32" and folder.stat().st_uid != os.getuid():  # somebody else's: one for this process only
        return Path(tempfile.mkdtemp(prefix="raytrainer-ultralytics-"))
    return folder


def _place_fonts(folder: Path) -> None:
    """Put matplotlib's DejaVu Sans in the place of fonts that Ultralytics would download when it draws."""
    matplotlib = importlib.util.find_spec("matplotlib")
    if matplotlib is None or matplotlib.origin is None:
        return
    source = Path(matplotlib.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
    for name in FONTS:
        if source.is_file() and not (folder / name).exists():
            _copy_whole(source, folder / name)


def _copy_whole(source: Path, target: Path) -> None:
    """Copy so that another process never sees half a file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    shutil.copyfile(source, partial)
    os.replace(partial, target)
