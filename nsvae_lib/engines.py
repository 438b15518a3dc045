"""Where many trainings run at a time: on processes of this machine, or on the machines of a Ray cluster.

Both engines yield results in the order in which they are ready. Whoever asked writes them down: a worker that dies
has written nothing, and its work is done again.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from queue import Empty
from threading import Thread
from typing import Any

import torch

ENGINES = ("processes", "ray")


def on_processes(
    task: Callable[[Any], Any], items: Sequence[Any], workers: int, progressed: Callable[[int], object]
) -> Iterator[tuple[Any, Any]]:
    """Pairs (item, task(item)), computed by `workers` processes, which share PyTorch's threads.

    Args:
        task: a function that can be pickled; what it gives to `report` goes on to `progressed`.
        items: what it is called with, in this order.
        workers: processes.
        progressed: called with numbers of steps done since the last call.

    Raises:
        RuntimeError: a worker died; what the system does when memory runs out.
    """
    # Fresh interpreters: PyTorch's threads do not survive a fork.
    context = get_context("spawn")
    reports, stop = context.Queue(), context.Event()
    threads = max(1, torch.get_num_threads() // workers)
    with ProcessPoolExecutor(workers, context, _start_worker, (reports, threads, stop)) as pool:
        pending = {pool.submit(task, item): item for item in items}
        try:
            while pending:
                finished, _ = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
                _pass_on(reports, progressed)
                for future in finished:
                    yield pending.pop(future), future.result()
        except BrokenProcessPool as error:
            raise RuntimeError(
                "a worker was killed, perhaps because memory ran out: run the same again to go on, with fewer workers"
            ) from error
        except BaseException:
            stop.set()  # else leaving the block would wait for all items, those not begun among them
            raise


def on_ray(task: Callable[[Any], Any], items: Sequence[Any], gpus: float = 0.0) -> Iterator[tuple[Any, Any]]:
    """Pairs (item, task(item)), computed on a Ray cluster: that of RAY_ADDRESS, else one started on this machine.

    An item whose machine is lost is done again on another.

    Args:
        task: a function that can be pickled. The library must be installed on every machine.
        items: what it is called with.
        gpus: share of a GPU that a call takes; 0.25 puts four on each GPU, 0 keeps to the processor, a core each.

    Raises:
        ImportError: Ray is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise ImportError("this needs Ray: pip install 'nsvae_lib[cluster]'") from error
    if not ray.is_initialized():
        ray.init()

    # Ray leaves the GPUs in sight of a call that takes none of them.
    environment = {} if gpus else {"env_vars": {"CUDA_VISIBLE_DEVICES": ""}}

    @ray.remote(num_cpus=1, num_gpus=gpus, max_retries=-1, runtime_env=environment)
    def call(item: Any) -> Any:
        return task(item)

    pending = {call.remote(item): item for item in items}
    try:
        while pending:
            finished, _ = ray.wait(list(pending))
            for reference in finished:
                yield pending.pop(reference), ray.get(reference)
    finally:
        for reference in pending:
            ray.cancel(reference)


_reports: Any = None


def report(steps: int) -> None:
    """Say from inside a task that so many steps are done."""
    if _reports is not None and steps:
        _reports.put(steps)


def _start_worker(reports: Any, threads: int, stop: Any) -> None:
    global _reports
    _reports = reports
    torch.set_num_threads(threads)
    Thread(target=_end_when_nobody_waits, args=(stop,), daemon=True).start()


def _end_when_nobody_waits(stop: Any) -> None:
    # A worker whose parent is killed would finish its training for nobody, and then wait for ever.
    parent = parent_process()
    assert parent is not None
    while parent.is_alive() and not stop.wait(0.5):
        pass
    os._exit(1)


def _pass_on(reports: Any, progressed: Callable[[int], object]) -> None:
    while True:
        try:
            progressed(reports.get_nowait())
        except Empty:
            return
