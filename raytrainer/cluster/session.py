"""The Ray cluster that a study runs on: one of our own on this machine, or one that is there already."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raytrainer.cluster.address import LOCAL, check_address, unreachable
from raytrainer.cluster.loopback import on_loopback
from raytrainer.cluster.output import LogFile
from raytrainer.cluster.scratch import scratch, sweep
from raytrainer.cluster.shipped import runtime_environment

# Read by Ray when it is imported. Its own result loggers sync a file for every report, its progress table would fight
# with ours for the terminal, and Ctrl-C belongs to the study. Tune starts its own processes, with an environment of
# their own, so the one that a node starts for every CPU in advance would never be used.
RAY_ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}


@dataclass(frozen=True, slots=True)
class Session:
    """A connection to a Ray cluster."""

    dashboard: str | None
    """Where to watch it, without a scheme; None if it has none."""
    own: bool
    """Whether it was started here, and so is this machine alone."""

    def nodes(self) -> list[dict[str, float]]:
        """CPUs and GPUs of every living node."""
        import ray

        alive = [node for node in ray.nodes() if node["Alive"]]
        return [{k: float(v) for k, v in node["Resources"].items() if k in ("CPU", "GPU")} for node in alive]


@contextmanager
def session(address: str | None, log: Path, *, cpus: int | None = None) -> Iterator[Future[Session]]:
    """Connect in the background, since a node takes seconds to start and the checks need them; disconnect at the end.

    Args:
        address: None or `local` starts a cluster on this machine, with a temporary folder of its own, ended with the
            block; anything else is an address as `ray.init` takes it.
        log: file that takes Ray's log of this process.
        cpus: CPUs of a cluster of our own; None is all.

    Raises:
        UserError: if no cluster can be joined at `address`; by the future, if its versions are others.
    """
    os.environ.update({key: os.environ.get(key, value) for key, value in RAY_ENVIRONMENT.items()})
    # Here, not in the thread: Ultralytics imports Ray as well, and Ray's circular imports break if two threads race.
    import ray  # noqa: F401

    address = address or LOCAL
    loopback = check_address(address)
    sweep()
    with ExitStack() as stack:
        handler = stack.enter_context(_ray_logs_to(log))
        temporary = stack.enter_context(scratch()) if address == LOCAL else None
        stack.enter_context(on_loopback() if loopback else nullcontext())
        pool = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="ray-start"))
        started = pool.submit(_connect, address, temporary, cpus, handler)
        stack.callback(_disconnect, started)
        yield started


def _connect(address: str, temporary: Path | None, cpus: int | None, handler: logging.Handler) -> Session:
    import ray

    options: dict[str, Any]
    if temporary:
        options = {"num_cpus": cpus, "_temp_dir": str(temporary), "dashboard_host": "127.0.0.1"}
    else:
        options = {"runtime_env": runtime_environment()}
    # It takes all handlers of "ray" away, and then says that this is not the main thread.
    unheard, worker = logging.NullHandler(), logging.getLogger("ray._private.worker")
    worker.addHandler(unheard)
    try:
        context = ray.init(address=address, log_to_driver=False, configure_logging=False, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        if temporary:
            raise
        raise unreachable(address, " ".join(str(error).split())) from error
    finally:
        worker.removeHandler(unheard)
        logging.getLogger("ray").addHandler(handler)
    return Session(context.dashboard_url or None, own=temporary is not None)


def _disconnect(started: Future[Session]) -> None:
    import ray

    started.exception()  # waits; a failure to connect was raised to whoever asked for the session
    ray.shutdown()


@contextmanager
def _ray_logs_to(path: Path) -> Iterator[logging.Handler]:
    """Send Ray's log of this process to a file and nowhere else; put its loggers back at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    loggers = [logging.getLogger(name) for name in ("ray", "ray.tune", "ray.train")]
    before = [([*logger.handlers], logger.propagate) for logger in loggers]
    with closing(LogFile(path)) as handler:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        for logger in loggers:
            logger.handlers = [h for h in logger.handlers if not isinstance(h, logging.StreamHandler)]
            logger.propagate = logger is not loggers[0]  # the others by way of this one
        loggers[0].addHandler(handler)
        try:
            yield handler
        finally:
            for logger, (handlers, propagate) in zip(loggers, before, strict=True):
                logger.handlers, logger.propagate = handlers, propagate
