"""`python tune.py --space detr.yaml` is `raytrainer tune --space detr.yaml`."""

import sys

from raytrainer.cli import main

if __name__ == "__main__":
    sys.exit(main(["tune", *sys.argv[1:]]))
