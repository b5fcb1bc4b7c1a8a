"""Passwords on a command line, which everyone on a machine can read."""

from __future__ import annotations

import os
import sys
from urllib.parse import unquote

from raytrainer.config.problems import PASSWORD as IN_URL
from raytrainer.config.storage import PASSWORD


def hide_password() -> None:
    """Starts this program again with the password of a storage URL in its environment, if its arguments have one.

    So `ps`, Ray's dashboard and its logs, which show a driver's command line, have nothing to tell. Does nothing else.
    """
    shown = [IN_URL.sub(r"\1@", argument) for argument in sys.orig_argv]
    if shown == sys.orig_argv:
        return
    given = next(found[0] for argument in sys.orig_argv if (found := IN_URL.search(argument)))
    password = given.partition("://")[2].partition(":")[2].removesuffix("@")
    os.environ[PASSWORD] = unquote(password)
    os.execv(sys.executable, [sys.executable, *(part.replace("://@", "://") for part in shown[1:])])
