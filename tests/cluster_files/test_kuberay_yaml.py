"""kuberay.yaml is one that KubeRay's autoscaler reads, and what no schema at hand checks is right too.

The definitions of KubeRay's resources are not here; the keys below are those of its v1.6 (ray.io/v1 API reference).
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from raytrainer.version import __version__

from .requirements import required

TEXT = (Path(__file__).resolve().parents[2] / "kuberay.yaml").read_text(encoding="utf-8")
STUDIES = "/mnt/studies"
GPU = "nvidia.com/gpu"
SPEC = {
    "rayVersion",
    "authOptions",
    "enableInTreeAutoscaling",
    "autoscalerOptions",
    "headGroupSpec",
    "workerGroupSpecs",
}
AUTOSCALER = {"version", "idleTimeoutSeconds", "upscalingMode", "resources", "image", "env"}
HEAD = {"serviceType", "rayStartParams", "template"}
WORKERS = {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"}
POD = {"containers", "volumes", "nodeSelector", "tolerations", "terminationGracePeriodSeconds"}
CONTAINER = {"name", "image", "env", "ports", "resources", "volumeMounts"}

Resource = dict[str, Any]


def resources(text: str = TEXT) -> tuple[Resource, Resource]:
    """The claim for the studies' volume, and the cluster."""
    claim, cluster = yaml.safe_load_all(text)
    return claim, cluster


def groups(cluster: Resource) -> list[Resource]:
    """The head's group and those of the workers."""
    return [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]


def container(group: Resource) -> Resource:
    """Ray's container, the first of a pod."""
    first: Resource = group["template"]["spec"]["containers"][0]
    return first


def unknown_keys(cluster: Resource) -> Iterator[str]:
    """At every level; the server would drop them."""
    spec = cluster["spec"]
    yield from cluster.keys() - {"apiVersion", "kind", "metadata", "spec"}
    yield from spec.keys() - SPEC
    yield from spec["authOptions"].keys() - {"mode", "secretName"}
    yield from spec["autoscalerOptions"].keys() - AUTOSCALER
    for group, known in zip(groups(cluster), [HEAD, *[WORKERS] * len(spec["workerGroupSpecs"])], strict=True):
        yield from group.keys() - known
        yield from group["template"]["spec"].keys() - POD
        for each in group["template"]["spec"]["containers"]:
            yield from each.keys() - CONTAINER


def mistakes(claim: Resource, cluster: Resource) -> list[str]:
    """What is wrong with them."""
    spec, (head, *workers) = cluster["spec"], groups(cluster)
    kinds = [(each["apiVersion"], each["kind"]) for each in (claim, cluster)]
    limits = [container(group)["resources"]["limits"] for group in groups(cluster)]
    params = [group["rayStartParams"] for group in groups(cluster)]
    checks = {
        "is of the kinds that it should be": kinds == [("v1", "PersistentVolumeClaim"), ("ray.io/v1", "RayCluster")],
        "has no unknown key": not [*unknown_keys(cluster)],
        "has the fields that are required": all(
            {"groupName", "minReplicas", "maxReplicas", "rayStartParams", "template"} <= each.keys() for each in workers
        ),
        "has names that Kubernetes takes": all(
            re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name)
            for name in (
                claim["metadata"]["name"],
                cluster["metadata"]["name"],
                *(each["groupName"] for each in workers),
            )
        ),
        "is of a Ray that the package takes": spec["rayVersion"] in required("ray"),
        "asks for a token that is a secret": spec["authOptions"]["mode"] == "token"
        and bool(spec["authOptions"].get("secretName")),
        "scales, and lets idle nodes go": spec["enableInTreeAutoscaling"] is True
        and 0 < spec["autoscalerOptions"]["idleTimeoutSeconds"] <= 1800,
        "starts with no worker": all(
            each.get("minReplicas") == each["replicas"] == 0 < each["maxReplicas"] for each in workers
        ),
        "is reached from within only": head["serviceType"] == "ClusterIP",
        "gives Ray strings, as it wants them": all(
            isinstance(value, str) for each in params for value in each.values()
        ),
        "promises the GPUs that the pods have": all(
            int(param.get("num-gpus", 0)) == int(limit.get(GPU, 0)) for param, limit in zip(params, limits, strict=True)
        )
        and any(limit.get(GPU) for limit in limits),
        "promises the CPUs that the workers have": all(
            int(param["num-cpus"]) == int(limit["cpu"]) for param, limit in zip(params[1:], limits[1:], strict=True)
        ),
        "has a head that holds no trial": params[0]["num-cpus"] == "0",
        "asks for what it is limited to": all(
            container(group)["resources"]["requests"] == container(group)["resources"]["limits"]
            for group in groups(cluster)
        ),
        "has the studies at one path everywhere": [*map(places, groups(cluster))] == [{STUDIES}] * len(limits),
        "mounts what the claim claims": all(
            volume(group, "studies")["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
            for group in groups(cluster)
        )
        and claim["spec"]["accessModes"] == ["ReadWriteMany"],
        "has shared memory for loaders": all(
            volume(group, "shm")["emptyDir"]["medium"] == "Memory" for group in groups(cluster)
        ),
        "has an image with the version of the package": {
            container(group)["image"].rpartition(":")[2] for group in groups(cluster)
        }
        == {__version__},
    }
    return [check for check, holds in checks.items() if not holds]


def volume(group: Resource, name: str) -> Resource:
    """A volume of a group's pods."""
    return next((each for each in group["template"]["spec"]["volumes"] if each["name"] == name), {"": None})


def places(group: Resource) -> set[str]:
    """Where the studies are mounted."""
    return {each["mountPath"] for each in container(group)["volumeMounts"] if each["name"] == "studies"}


def test_the_autoscaler_reads_it() -> None:
    """Ray's own reader of the resource, which validates what it makes of it."""
    from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr

    _, cluster = resources()
    cluster["metadata"]["namespace"] = "default"
    types = _derive_autoscaling_config_from_ray_cr(cluster)["available_node_types"]
    assert types["headgroup"]["resources"]["CPU"] == 0
    assert "GPU" not in types["headgroup"]["resources"]
    assert (types["gpu"]["min_workers"], types["gpu"]["resources"]["GPU"]) == (0, 1)


def test_nothing_is_wrong_with_it() -> None:
    assert mistakes(*resources()) == []


def workers(cluster: Resource) -> Resource:
    """The one group of workers."""
    group: Resource = cluster["spec"]["workerGroupSpecs"][0]
    return group


BROKEN: dict[str, Callable[[Resource, Resource], Any]] = {
    "is of the kinds that it should be": lambda _, c: c.update(apiVersion="ray.io/v1alpha1"),
    "has no unknown key": lambda _, c: workers(c)["template"]["spec"].update(volume=[]),
    "has the fields that are required": lambda _, c: workers(c).pop("minReplicas"),
    "has names that Kubernetes takes": lambda _, c: workers(c).update(groupName="GPU workers"),
    "is of a Ray that the package takes": lambda _, c: c["spec"].update(rayVersion="2.9.0"),
    "asks for a token that is a secret": lambda _, c: c["spec"]["authOptions"].update(mode="disabled"),
    "scales, and lets idle nodes go": lambda _, c: c["spec"].update(enableInTreeAutoscaling=False),
    "starts with no worker": lambda _, c: workers(c).update(minReplicas=1),
    "is reached from within only": lambda _, c: c["spec"]["headGroupSpec"].update(serviceType="LoadBalancer"),
    "gives Ray strings, as it wants them": lambda _, c: workers(c)["rayStartParams"].update({"num-gpus": 1}),
    "promises the GPUs that the pods have": lambda _, c: workers(c)["rayStartParams"].update({"num-gpus": "2"}),
    "promises the CPUs that the workers have": lambda _, c: workers(c)["rayStartParams"].update({"num-cpus": "16"}),
    "has a head that holds no trial": lambda _, c: c["spec"]["headGroupSpec"]["rayStartParams"].update(
        {"num-cpus": "4"}
    ),
    "asks for what it is limited to": lambda _, c: container(workers(c))["resources"]["requests"].update(cpu="1"),
    "has the studies at one path everywhere": lambda _, c: container(workers(c))["volumeMounts"].pop(0),
    "mounts what the claim claims": lambda claim, _: claim["spec"].update(accessModes=["ReadWriteOnce"]),
    "has shared memory for loaders": lambda _, c: workers(c)["template"]["spec"]["volumes"][1].update(
        emptyDir={"medium": ""}
    ),
    "has an image with the version of the package": lambda _, c: container(workers(c)).update(
        image="raytrainer:latest"
    ),
}


@pytest.mark.parametrize("check", BROKEN)
def test_a_mistake_is_found(check: str) -> None:
    claim, cluster = copy.deepcopy(resources())
    BROKEN[check](claim, cluster)
    assert check in mistakes(claim, cluster)
