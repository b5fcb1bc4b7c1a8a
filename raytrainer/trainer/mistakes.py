"""What the user did wrong, told from the errors with which Ultralytics and torch stop while a run is set up."""

from __future__ import annotations

import os
import pickle
import re
import textwrap
import traceback
import zipfile

from raytrainer.config.problems import UserError
from raytrainer.trainer.environment import SAFE_LOAD
from raytrainer.trainer.run import is_out_of_memory
from raytrainer.trainer.user_error import user_error

MISTAKES = (
    SyntaxError, TypeError, ValueError, OSError, ImportError, NotImplementedError, AssertionError, RuntimeError,
    LookupError, AttributeError, ArithmeticError, EOFError, pickle.PickleError, zipfile.BadZipFile,
)  # fmt: skip
"""What is raised there on arguments, models and datasets that cannot be."""
WORDLESS = (LookupError, AttributeError, EOFError, AssertionError)
"""Those whose text says little without their name."""
OF_THE_MODEL = {"load_checkpoint", "torch_safe_load", "yaml_model_load", "trainer_of"}
"""Functions of ultralytics/nn/tasks.py, and ours, in which nothing but the model can be wrong."""
LONGEST = 300
"""Characters that are told of a list of everything that is wrong with a dataset."""
ANSI = re.compile(r"\x1b\[[0-9;]*m")
DEVICES = "there is no such device here: expected cpu, mps, or the number of a GPU"


def explained(error: Exception, *, setting_up: bool) -> Exception:
    """The user's mistake behind an error, or the error itself if it is not known to be one.

    Args:
        error: what was raised.
        setting_up: whether that was before the first batch.
    """
    if isinstance(error, UserError):
        return error
    if is_out_of_memory(error):
        return user_error("train.batch", f"{one_line(error)}; choose a smaller batch, imgsz or model")
    if "references types outside" in str(error) and os.environ.get(SAFE_LOAD) != "0":
        trust = f"a file that you trust is loaded with {SAFE_LOAD}=0 in the environment"
        return user_error("model", f"{one_line(error)}; {trust}")
    if "autocast requires" in str(error):
        return user_error("train.amp", one_line(error))
    if setting_up and isinstance(error, MISTAKES):
        return _mistake(error)
    return error


def one_line(error: Exception) -> str:
    """An error's text without colours and line breaks; its name if it has none, before it if it says little."""
    told = error.args[0] if isinstance(error, KeyError) and error.args else error
    text = " ".join(ANSI.sub("", str(told)).split())
    bare = not text or (isinstance(error, WORDLESS) and " " not in text)
    return f"{type(error).__name__}: {text}".removesuffix(": ") if bare else text


def _mistake(error: Exception) -> UserError:
    text, functions = str(error), {frame.name for frame in traceback.extract_tb(error.__traceback__)}
    if told := re.match(r"Invalid \w+ 'device=.*?' requested", text):
        return user_error("train.device", f"{told[0]}; {DEVICES}")
    if isinstance(error, RuntimeError) and text.startswith("Dataset"):
        return user_error("data", one_line(error))
    if text.startswith("No valid images found"):
        return user_error("data", f"no image can be read: {textwrap.shorten(one_line(error), LONGEST)}")
    if "parse_model" in functions:
        return user_error("model", f"its layers cannot be built: {one_line(error)}")
    missing = isinstance(error, FileNotFoundError | ConnectionError) and re.search(r"\.(pt|ya?ml)\b", text)
    return user_error("model" if missing or functions & OF_THE_MODEL else "train", one_line(error))
