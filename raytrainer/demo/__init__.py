"""The demo: a small real detection set and a base model to fine-tune on it, both made on the spot.

A space file names them `builtin:digits` and `builtin:digits-base`; `materialise` puts their paths in place.
"""

from raytrainer.demo.base_model import base_checkpoint
from raytrainer.demo.builtin import materialise
from raytrainer.demo.dataset import digits

__all__ = ["base_checkpoint", "digits", "materialise"]
