"""cluster.yaml is one that `ray up` takes, and what Ray's own validator lets pass is right too."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from raytrainer.version import __version__

from .requirements import required

PROJECT = Path(__file__).resolve().parents[2]
TEXT = (PROJECT / "cluster.yaml").read_text(encoding="utf-8")
INSTANCES = {
    "m7i.xlarge": {"CPU": 4}, "g6.xlarge": {"CPU": 4, "GPU": 1}, "g6.2xlarge": {"CPU": 8, "GPU": 1},
    "g6.12xlarge": {"CPU": 48, "GPU": 4}, "g5.xlarge": {"CPU": 4, "GPU": 1}, "p4d.24xlarge": {"CPU": 96, "GPU": 8},
}  # fmt: skip
"""What these have. Source: AWS' tables of instance types."""
OF_AN_INSTANCE = {"InstanceType", "ImageId", "InstanceMarketOptions", "BlockDeviceMappings"}
OF_AWS = {"type", "region", "availability_zone", "cache_stopped_nodes"}
STUDIES = "/mnt/studies"

Config = dict[str, Any]


def unknown_keys(config: Config) -> Iterator[str]:
    """At every level, those that Ray would take or pass by in silence."""
    import ray.autoscaler

    schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())["properties"]
    node = schema["available_node_types"]["patternProperties"][".*"]["properties"]
    yield from config.keys() - schema.keys()
    for section in ("auth", "docker"):
        yield from config[section].keys() - schema[section]["properties"].keys()
    yield from config["provider"].keys() - OF_AWS
    for each in config["available_node_types"].values():
        yield from each.keys() - node.keys()
        yield from each["node_config"].keys() - OF_AN_INSTANCE


def mistakes(config: Config) -> list[str]:
    """What is wrong with it beyond its form."""
    types, head = config["available_node_types"], config["head_node_type"]
    workers = [each for name, each in types.items() if name != head]
    commands = " ".join(
        command
        for key, value in config.items()
        if key.endswith("_commands")
        for command in value
        if "install" in command
    )
    starts = " ".join(config["head_start_ray_commands"])
    options = config["docker"]["run_options"]
    tags = {tag(config["docker"][f"{who}_image"]) for who in ("head", "worker")}
    checks = {
        "names what Ray requires but does not ask for": {"cluster_name", "auth", "provider"} <= config.keys()
        and {"region", "availability_zone"} <= config["provider"].keys()
        and "ssh_user" in config["auth"],
        "has no unknown key": not [*unknown_keys(config)],
        "has a head without GPUs that holds no trial": types[head]["resources"] == {"CPU": 0},
        "has GPU workers": any(each["resources"].get("GPU") for each in workers),
        "starts with none of them": all(each["min_workers"] == 0 for each in workers),
        "promises what the instances have": all(
            each["resources"] == INSTANCES[each["node_config"]["InstanceType"]] for each in workers
        ),
        "pays for no more than it says": sum(each["max_workers"] for each in workers) == config["max_workers"] > 0,
        "takes spot instances for workers only": all(
            each["node_config"].get("InstanceMarketOptions", {}).get("MarketType") == "spot" for each in workers
        )
        and "InstanceMarketOptions" not in types[head]["node_config"],
        "does not keep stopped spot instances": config["provider"]["cache_stopped_nodes"] is False,
        "lets idle nodes go": 0 < config["idle_timeout_minutes"] <= 30,
        "has a dashboard on loopback only": "--dashboard-host=127.0.0.1" in starts,
        "asks for a token": "--env=RAY_AUTH_MODE=token" in options and "~/.ray/auth_token" in config["file_mounts"],
        "opens no port": "security_group" not in config["provider"] and "-p " not in " ".join(options),
        "mounts the studies everywhere": f"--volume={STUDIES}:{STUDIES}" in options
        and any(STUDIES in command and "mount " in command for command in config["initialization_commands"]),
        "installs the package that it brings": config["file_mounts"].get("~/raytrainer") == "."
        and "pip install -q ~/raytrainer" in commands,
        "scales by the file that Ray leaves on the head": "--autoscaling-config=~/ray_bootstrap_config.yaml" in starts,
        "has images of one Ray, that the package takes": len(tags) == 1 and tags.pop() in required("ray"),
    }
    return [check for check, holds in checks.items() if not holds]


def tag(image: str) -> str:
    """The version of Ray in `rayproject/ray:2.60.0-py311-gpu`."""
    return image.partition(":")[2].partition("-")[0]


def test_ray_takes_it() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared = prepare_config(yaml.safe_load(TEXT))
    validate_config(prepared)
    assert "pip install -q ~/raytrainer" in " ".join(prepared["worker_setup_commands"])


def test_nothing_is_wrong_with_it() -> None:
    assert mistakes(yaml.safe_load(TEXT)) == []


def test_a_release_is_named_by_a_range_that_holds_this_version() -> None:
    from packaging.specifiers import SpecifierSet

    ranges = re.findall(r"'raytrainer([<>=,.\d]+)'", TEXT)
    assert ranges
    assert all(SpecifierSet(each).contains(__version__) for each in ranges)


BROKEN: dict[str, Callable[[Config], Any]] = {
    "names what Ray requires but does not ask for": lambda c: c["provider"].pop("region"),
    "has no unknown key": lambda c: c["available_node_types"]["gpu"]["node_config"].update(InstanceKind="g6.xlarge"),
    "has a head without GPUs that holds no trial": lambda c: c["available_node_types"]["head"].update(resources={}),
    "has GPU workers": lambda c: [c["available_node_types"].pop(name) for name in ("gpu", "gpu-4")],
    "starts with none of them": lambda c: c["available_node_types"]["gpu"].update(min_workers=1),
    "promises what the instances have": lambda c: c["available_node_types"]["gpu"]["resources"].update(GPU=2),
    "pays for no more than it says": lambda c: c.update(max_workers=50),
    "takes spot instances for workers only": lambda c: c["available_node_types"]["gpu"]["node_config"].pop(
        "InstanceMarketOptions"
    ),
    "does not keep stopped spot instances": lambda c: c["provider"].update(cache_stopped_nodes=True),
    "lets idle nodes go": lambda c: c.update(idle_timeout_minutes=600),
    "has a dashboard on loopback only": lambda c: c.update(head_start_ray_commands=["ray start --head"]),
    "asks for a token": lambda c: c["file_mounts"].pop("~/.ray/auth_token"),
    "opens no port": lambda c: c["provider"].update(security_group={}),
    "mounts the studies everywhere": lambda c: c.update(initialization_commands=[]),
    "installs the package that it brings": lambda c: c["file_mounts"].pop("~/raytrainer"),
    "scales by the file that Ray leaves on the head": lambda c: c.update(head_start_ray_commands=["ray start --head"]),
    "has images of one Ray, that the package takes": lambda c: c["docker"].update(
        worker_image="rayproject/ray:2.9.0-py311-gpu"
    ),
}


@pytest.mark.parametrize("check", BROKEN)
def test_a_mistake_is_found(check: str) -> None:
    config = copy.deepcopy(yaml.safe_load(TEXT))
    BROKEN[check](config)
    assert check in mistakes(config)
