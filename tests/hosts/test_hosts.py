"""Hosts with their own addresses, names and folders: a trial on two of them, one that joins, one that is lost."""

from __future__ import annotations

import re

from raytrainer.search.reading import read_views

from .conftest import Cluster

FIRST_EPOCH = re.compile(r"\s1/3\s+\S+G\s")
GONE_ON = re.compile("Going on exactly after epoch [12] of 3")
SPACE = """
    model: yolo-tiny.yaml
    data: file:///mnt/shared/cells.zip
    fitness: fit.py:fit
    train: {{epochs: {epochs}, imgsz: 64, batch: 4, nbs: 4, optimizer: AdamW, plots: false, amp: false, mosaic: 0}}
    search: {{trials: {trials}, seed: 7, pruner: none}}
    resources: {resources}
    space:
      lr0: {{low: 1e-4, high: 1e-2, log: true, default: 0.002}}
"""


def test_one_trial_on_two_hosts(cluster: Cluster) -> None:
    hosts = [cluster.add(), cluster.add()]
    ranks = "{ranks: 2, cpus_per_rank: 1, gpus_per_rank: 0, spread: spread}"
    cluster.finish(cluster.tune(SPACE.format(epochs=2, trials=2, resources=ranks)))
    assert [view.state for view in read_views(cluster.study.path)] == ["complete"] * 2
    assert cluster.epochs() == {0: [1, 2], 1: [1, 2]}
    for number, host in enumerate(hosts, 1):  # each fetched the images to its own disk, and cached their labels there
        assert "train.cache" in host.do("find", f"/mnt/data-{number}", "-name", "*.cache")
    assert (cluster.study.trial(1) / "log-rank1.txt").is_file()


def test_a_host_joins_and_another_is_cut_off(cluster: Cluster) -> None:
    first, lost = cluster.add(), cluster.add()
    (cluster.shared / "hold").touch()
    driver = cluster.tune(SPACE.format(epochs=3, trials=4, resources="{cpus: 1, gpus: 0}"))
    joined = cluster.add()
    for host in (first, lost, joined):
        cluster.wait(lambda host=host: cluster.ran_on().count(host.name) == 2, f"{host.name} has trained an epoch")
    logs = {number: cluster.study.trial_log(number) for number in range(3)}
    told = {number: log.stat().st_size for number, log in logs.items()}
    lost.cut_off()
    (cluster.shared / "hold").unlink()  # on the host that is cut off as well, which still reaches the folder
    cluster.finish(driver)
    assert [view.state for view in read_views(cluster.study.path)] == ["complete"] * 4
    assert cluster.epochs() == {number: [1, 2, 3] for number in range(4)}
    since = {number: log.read_bytes()[told[number] :].decode(errors="replace") for number, log in logs.items()}
    assert [number for number, text in since.items() if FIRST_EPOCH.search(text)] == [], "a finished epoch is run again"
    # The host that is cut off ends its second epoch as long as nobody else has taken its trial up.
    assert [bool(GONE_ON.search(text)) for text in since.values()].count(True) == 1
