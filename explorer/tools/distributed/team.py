"""One list of work, done by this process, by several here, or by those of `accelerate launch`.

The main process alone knows the list. It hands out one item at a time to whoever is free, itself
too, and takes in what comes back, so that a slow machine gets less and a list that was done in part
is simply shorter. What came back is the same whoever has worked it out. A process that dies takes
its connections with it, and that ends the others. Knows items and functions; not what the work is.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import islice
from queue import SimpleQueue
from typing import TypeVar

import torch
import torch.distributed as dist

from explorer.errors import VisitorError

Item = TypeVar("Item")
Result = TypeVar("Result")
Prepare = Callable[[int], None]
"""Makes a process ready for its work; takes how many processes share the cores of its machine."""

MAIN = 0  # the rank of the process that hands out
LONGEST = timedelta(days=7)  # that an item may take: gloo gives up on a silent peer after that
WATCH_SECONDS = 1.0  # from one look at whether the launcher still lives to the next


class PeerLost(Exception):
    """Another process of the run has died, or can't be reached any more."""

    def __init__(self, peer: int):
        super().__init__(
            f"Process {peer} of this run has ended. What is done is written down: the same command "
            "goes on from there."
        )


class Team:
    """The processes that work on a list, as the main one sees them.

    processes: of this machine, where nobody has launched several; prepare: is called in each.
    """

    def __init__(self, processes: int = 1, prepare: Prepare | None = None):
        self.processes, self._prepare = processes, prepare

    def results(
        self, work: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[tuple[int, Result]]:
        """Give what the work gives for each item, and the item's number, as it comes.

        work: a function of a module, or a partial of one, since it travels, as the items do. Raises
        what the work raises.
        """
        if launched():
            return _handed_out(work, items)
        if self.processes > 1:
            return _pooled(work, items, self.processes, self._prepare)
        return ((number, work(item)) for number, item in enumerate(items))


def run(lead: Callable[[Team], int | None], prepare: Prepare, processes: int = 1) -> int | None:
    """Lead a team here, or work for the process that leads it; gives what `lead` gives, or 0.

    lead: what the main process does. prepare: see `Prepare`. processes: how many are started here
    unless `accelerate launch` has started some.
    """
    if not launched():
        prepare(processes)
        return lead(Team(processes, prepare))
    _end_with(os.getppid())
    dist.init_process_group("gloo", timeout=LONGEST)  # objects travel, and no tensors: no nccl
    prepare(1)  # the launcher has told each its share of the cores
    try:
        if dist.get_rank() != MAIN:
            return _serve()
        ended = lead(Team())
        for peer in range(1, dist.get_world_size()):
            _send(None, peer)
    except PeerLost as lost:
        print(lost, file=sys.stderr, flush=True)
        os._exit(1)  # threads still wait for other processes, and nothing else would end them
    dist.destroy_process_group()
    return ended


def in_order(numbered: Iterable[tuple[int, Result]]) -> Iterator[Result]:
    """Give results in the order of their items, each as soon as those before it are there."""
    waiting: dict[int, Result] = {}
    wanted = 0
    for number, result in numbered:
        waiting[number] = result
        while wanted in waiting:
            yield waiting.pop(wanted)
            wanted += 1


# ---- several processes of this machine ----------------------------------------------------------


def _pooled(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    processes: int,
    prepare: Prepare | None,
) -> Iterator[tuple[int, Result]]:
    # A fork has torch already; it is safe as nothing has run in this process yet.
    ways = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if "fork" in ways else "spawn")
    waiting, running = enumerate(items), {}
    begin = partial(_begin, os.getpid(), prepare, processes)
    with ProcessPoolExecutor(processes, context, begin) as pool:

        def submit(count: int) -> None:
            for number, item in islice(waiting, count):
                running[pool.submit(work, item)] = number

        submit(2 * processes)  # one is at hand when one is done; the list may be endless
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for each in sorted(done, key=running.get):
                yield running.pop(each), each.result()
                submit(1)


def _begin(parent: int, prepare: Prepare | None, processes: int) -> None:
    _end_with(parent)
    if prepare is not None:
        prepare(processes)


def _end_with(parent: int) -> None:
    """End this process as soon as its parent is gone, which may have been killed."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


# ---- the processes of `accelerate launch` -------------------------------------------------------


def launched() -> bool:
    """Tell whether a launcher has started this process as one of several."""
    return dist.is_torchelastic_launched() and int(os.environ["WORLD_SIZE"]) > 1


def take_one_card() -> None:
    """Hide all GPUs but one from this process, if a launcher has started it beside others.

    The processes of a machine take its cards in turn. Has to come before CUDA is first looked at,
    which is when it reads which cards it may see.
    """
    cards = torch.cuda.device_count()  # as the driver's own library tells it, without CUDA
    if launched() and cards > 1:
        seen = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(cards))))
        mine = int(os.environ["LOCAL_RANK"]) % cards
        os.environ["CUDA_VISIBLE_DEVICES"] = seen.split(",")[mine]


def _send(message: object, peer: int) -> None:
    try:
        dist.send_object_list([message], peer)
    except RuntimeError as error:
        raise PeerLost(peer) from error


def _received(peer: int) -> object:
    told = [None]
    try:
        dist.recv_object_list(told, peer)
    except RuntimeError as error:
        raise PeerLost(peer) from error
    return told[0]


def _serve() -> int:
    """Do what the main process hands out until it says that nothing is left."""
    while (task := _received(MAIN)) is not None:
        _send(_outcome(task), MAIN)
    dist.destroy_process_group()
    return 0


def _outcome(task: Callable[[], Result]) -> Result | VisitorError:
    """Do a task; what a person can put right is told to the main process, else this one ends."""
    try:
        return task()
    except VisitorError as error:
        return error


@dataclass(frozen=True)
class _Ended:
    """Nothing is left for a process, or its part could not go on."""

    error: BaseException | None = None


def _handed_out(
    work: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[tuple[int, Result]]:
    """Hand items out: a thread per other process waits for it, and one works in this process."""
    waiting, lock = enumerate(items), threading.Lock()
    told: SimpleQueue[tuple[int, object] | _Ended] = SimpleQueue()

    def draw() -> tuple[int, Item] | None:
        with lock:
            return next(waiting, None)

    def attend(peer: int) -> None:
        try:
            while (drawn := draw()) is not None:
                number, item = drawn
                task = partial(work, item)
                if peer == MAIN:
                    told.put((number, _outcome(task)))
                else:
                    _send(task, peer)
                    told.put((number, _received(peer)))
            told.put(_Ended())
        except BaseException as error:  # noqa: BLE001 - whatever it is, the main thread raises it
            told.put(_Ended(error))

    going = dist.get_world_size()
    for peer in range(going):
        threading.Thread(target=attend, args=(peer,), name=f"peer {peer}", daemon=True).start()
    while going:
        match told.get():
            case _Ended(None):
                going -= 1
            case _Ended(error):
                raise error
            case (_, VisitorError() as error):
                raise error
            case number, result:
                yield number, result
