"""A mistake of the user that only the trainer can see, told as the configuration tells its own."""

from __future__ import annotations

from raytrainer.config.problems import Problem, UserError


def user_error(key: str, message: str) -> UserError:
    """The error to raise for one setting or training argument; it has no file or line, the trainer knows neither."""
    return UserError([Problem(None, None, key, message)])
