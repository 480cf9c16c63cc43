"""Engines: who runs the tasks changes nothing in what is found, whoever dies; and a cluster that cannot do it says so.

The cluster is a scheduler and workers in processes of their own that talk over TCP.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import socket
import subprocess
import sys
import time
from concurrent.futures import Future
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
from command_line import one_sentence, random_layers, run_json, start, strict, write_onnx
from networks import NAMED

from relu_shallow.cli.options import ENGINES as OFFERED
from relu_shallow.domain import Box, WholeSpace, fit
from relu_shallow.errors import EngineError, MissingExtra, UsageError
from relu_shallow.load import load_network
from relu_shallow.network import from_layers
from relu_shallow.regions import dask_engine
from relu_shallow.regions.driver import MOST_LOSSES, Budget, drive
from relu_shallow.regions.engines import ENGINES, open_engine
from relu_shallow.regions.remote import network_of, opened, versions_here
from relu_shallow.regions.search import Collected, enumerate_regions, prepare
from relu_shallow.regions.task import search_task

pytest.importorskip("distributed")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from cluster.processes import Cluster

SMALL = from_layers(random_layers(4, 12, 12, 1))
LARGE = from_layers(random_layers(5, 16, 16, 1))
ENDLESS = from_layers(random_layers(8, 24, 24, 1))
BOX = Box(-1.0, 1.0)


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("cluster"), patience=0)  # so that a loss is the engine's to mend
    yield cluster
    cluster.close()


@pytest.fixture
def cluster(started):
    """The one cluster of this file, with two workers that are well."""
    if started.scheduler.poll() is not None:
        started.restart()
    started.add(2 - len(started.workers))
    return started


@pytest.fixture
def small_tasks(monkeypatch):
    """So many tasks that something can happen in the middle."""
    monkeypatch.setattr(dask_engine.Dask, "batch", 500)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(dask_engine, "ANSWER", 1.0)
    monkeypatch.setattr(dask_engine, "PATIENCE", 0.2)


def empty(cluster):
    while cluster.workers:
        cluster.kill(0)


def without_advice(stderr):
    """What a command said, but for what it says where it takes long or runs for the first time."""
    lines = stderr.splitlines(keepends=True)
    return "".join(line for line in lines if "compiling" not in line and "regions after" not in line)


def same(partition, other):
    assert partition.complete
    assert partition.level == other.level
    np.testing.assert_array_equal(partition.bits, other.bits)


class Losing:
    """Runs tasks at once, but loses its worker so often over the task that comes at some turn."""

    near, batch, seconds, lost = True, 200, 30.0, (ConnectionError,)

    def __init__(self, problems, losses):
        self.problems, self.losses, self.ran = problems, losses, 0

    def width(self):
        return 3

    def submit(self, task, allowance, live):
        future = Future()
        self.ran += 1
        if self.ran > 5 and self.losses:
            self.losses -= 1
            future.set_exception(ConnectionError("gone"))
        else:
            future.set_result(search_task(self.problems[task.chart], task, allowance, live))
        return future


@pytest.mark.parametrize("losses", [1, MOST_LOSSES])
def test_the_driver_runs_a_task_again_whose_worker_is_lost(losses):
    search = prepare(SMALL, fit(BOX, 4), certify=True)
    found = Collected([[]], None)
    assert drive(Losing(search.problems, losses), search.roots, Budget(), found.put) == []
    bits = np.concatenate([batch.bits for batch in found.batches[0]])
    expected = enumerate_regions(SMALL, BOX).bits
    assert len(bits) == len(expected)
    np.testing.assert_array_equal(np.unique(bits, axis=0), np.unique(expected, axis=0))


def test_a_task_that_loses_every_worker_ends_the_search():
    search = prepare(SMALL, fit(BOX, 4), certify=True)
    with pytest.raises(EngineError, match="workers were lost one after the other"):
        drive(Losing(search.problems, 1000), search.roots, Budget(), Collected([[]], None).put)


def test_a_network_can_be_sent_after_exact_arithmetic_was_used_on_it():
    """What that worked out holds a lock, which cannot be sent."""
    problem = prepare(SMALL, fit(BOX, 4), certify=True).problems[0]
    assert problem.exact.lock
    np.testing.assert_array_equal(pickle.loads(network_of(problem)).limits, problem.limits)


def test_the_command_line_offers_the_engines_there_are():
    assert set(OFFERED) == set(ENGINES)


@pytest.mark.parametrize("spec", ["spark", "threads:4", ""])
def test_an_engine_that_is_none_is_refused(spec):
    with pytest.raises(UsageError), open_engine(spec, [], 1):
        pass


@pytest.mark.parametrize("name", ["one_relu", "abs", "two_slopes", "random", "random, everywhere"])
def test_a_cluster_finds_what_threads_find(cluster, name):
    network, domain = (LARGE, BOX) if name == "random" else (from_layers(random_layers(3, 8, 1)), WholeSpace())
    if name in NAMED:
        network, domain = NAMED[name].network, Box(*NAMED[name].box)
    same(enumerate_regions(network, domain, engine=f"dask:{cluster.address}"), enumerate_regions(network, domain))


def test_a_worker_killed_in_the_middle_costs_nothing_but_time(cluster, small_tasks):
    kills = []

    def kill_once(found):
        if found and not kills:
            cluster.kill(0)
            cluster.add()
            kills.append(found)

    expected = enumerate_regions(LARGE, BOX)
    same(enumerate_regions(LARGE, BOX, engine=f"dask:{cluster.address}", progress=kill_once), expected)
    assert 0 < kills[0] < len(expected.bits)


class Line:
    """A port that passes everything on to a scheduler, until it is cut; then again for those who call anew."""

    def __init__(self, address):
        self.there = address.removeprefix("tcp://").split(":")
        self.loop = asyncio.new_event_loop()
        self.ends, self.ready = [], Event()
        Thread(target=self.loop.run_until_complete, args=(self.serve(),), daemon=True).start()
        self.ready.wait()

    async def serve(self):
        server = await asyncio.start_server(self.joined, "127.0.0.1", 0)
        self.address = f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self.over = asyncio.Event()
        self.ready.set()
        await self.over.wait()

    async def joined(self, reader, writer):
        far_reader, far_writer = await asyncio.open_connection(*self.there)
        self.ends += [writer, far_writer]
        with contextlib.suppress(OSError):
            await asyncio.gather(self.passed(reader, far_writer), self.passed(far_reader, writer))

    async def passed(self, reader, writer):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.close()

    def cut(self):
        for writer in self.ends:
            self.loop.call_soon_threadsafe(writer.transport.abort)

    def close(self):
        self.loop.call_soon_threadsafe(self.over.set)


def test_a_connection_lost_in_the_middle_costs_nothing_but_time(cluster, small_tasks):
    line, cuts = Line(cluster.address), []

    def cut_once(found):
        if found and not cuts:
            line.cut()
            cuts.append(found)

    expected = enumerate_regions(LARGE, BOX)
    same(enumerate_regions(LARGE, BOX, engine=f"dask:{line.address}", progress=cut_once), expected)
    line.close()
    assert 0 < cuts[0] < len(expected.bits)


def test_all_workers_gone_is_waiting_for_the_next(cluster, small_tasks, impatient):
    """They take the network they were sent with them."""
    kills, said = [], []

    def kill_all(found):
        if found and not kills:
            kills.append(found)
            empty(cluster)

    def announce(message):
        said.append(message)
        cluster.add()

    expected = enumerate_regions(LARGE, BOX)
    found = enumerate_regions(LARGE, BOX, engine=f"dask:{cluster.address}", progress=kill_all, announce=announce)
    same(found, expected)
    assert len(said) == 1
    assert "no workers" in said[0]
    assert 0 < kills[0] < len(expected.bits)


def test_a_time_limit_ends_a_search_on_a_cluster_with_a_part_of_the_list(cluster, small_tasks):
    began = time.monotonic()
    part = enumerate_regions(ENDLESS, BOX, engine=f"dask:{cluster.address}", time_limit=1.0)
    assert 0.9 < time.monotonic() - began < 15
    assert not part.complete
    assert len(np.unique(part.bits, axis=0)) == len(part.bits) > 0


def test_tasks_that_do_not_end_with_the_limit_are_given_up(cluster, monkeypatch):
    """No worker is there to run them; what they were to search is left."""
    empty(cluster)
    monkeypatch.setattr(dask_engine, "GRACE", 0.2)
    began = time.monotonic()
    part = enumerate_regions(SMALL, BOX, engine=f"dask:{cluster.address}", time_limit=1.0)
    assert time.monotonic() - began < 10
    assert not part.complete
    assert len(part.bits) == 0


@pytest.mark.parametrize("address", ["foo", "tcp://", "tcp://host", "host:8786", "tcp://host:99999999", "inproc://a/1"])
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(EngineError, match="no address"), open_engine(f"dask:{address}", [], 1):
        pass


def test_an_address_where_nothing_answers_is_an_error(impatient):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        for listening in (False, True):
            if listening:
                silent.listen()
            with pytest.raises(EngineError, match="answers at"), open_engine(f"dask:tcp://127.0.0.1:{port}", [], 1):
                pass


WITHOUT = "import sys; sys.modules['relu_shallow'] = None"
OLDER = "import relu_shallow; relu_shallow.__version__ = '0.0.7'"


def test_a_worker_of_another_version_is_an_error(cluster):
    empty(cluster)
    cluster.add(prepare=OLDER)
    try:
        with pytest.raises(EngineError, match=r"relu-shallow 0\.0\.7.*this side runs relu-shallow"):
            enumerate_regions(SMALL, BOX, engine=f"dask:{cluster.address}")
    finally:
        empty(cluster)


@pytest.mark.parametrize("place", range(len(versions_here())))
def test_what_other_versions_sealed_is_not_even_read(place):
    there = list(versions_here())
    there[place] = "Python 3.8"
    with pytest.raises(EngineError, match=r"Python 3\.8.*install the same"):
        opened(tuple(there), b"not a pickle")


def test_a_worker_without_the_package_that_joins_later_is_an_error(cluster):
    """It gets the network from the other worker, and must not die of it, nor hang."""
    cluster.kill(0)
    joined = []

    def join(found):
        if found and not joined:
            joined.append(cluster.add(prepare=WITHOUT))

    with pytest.raises(EngineError, match="cannot load relu-shallow"):
        enumerate_regions(ENDLESS, BOX, engine=f"dask:{cluster.address}", progress=join, time_limit=60.0)
    empty(cluster)


def test_without_the_package_distributed_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtra, match=r"relu-shallow\[dask\]"):
        enumerate_regions(SMALL, BOX, engine="dask")


def test_nothing_of_dask_is_imported_for_threads():
    code = ("import sys, relu_shallow.cli.convert, relu_shallow.conversion; "
            "assert not {'dask', 'distributed'} & set(sys.modules)")  # fmt: skip
    subprocess.run([sys.executable, "-c", code], check=True)


def test_processes_on_this_machine_serve_the_command_line(tmp_path):
    model = write_onnx(tmp_path / "net.onnx", random_layers(3, 8, 8, 1))
    output = tmp_path / "out.safetensors"
    with start("convert", model, "-o", output, "--domain", "box:-1,1", "--engine", "dask", "--workers", 1,
               "--json") as process:  # fmt: skip
        out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert without_advice(err) == ""
    assert strict(out)["regions"] == len(enumerate_regions(load_network(model), BOX).bits)


def test_the_scheduler_dying_in_the_middle_is_one_sentence_and_what_was_written_is_kept(cluster, tmp_path):
    model, output = write_onnx(tmp_path / "net.onnx", random_layers(8, 24, 24, 1)), tmp_path / "out.regions"
    code = "from relu_shallow.regions import dask_engine; dask_engine.ANSWER = 3.0; " \
           "from relu_shallow.cli import main; main()"  # fmt: skip
    with start("convert", model, "-o", output, "--domain", "box:-1,1", "--engine", f"dask:{cluster.address}",
               code=code) as process:  # fmt: skip
        while process.poll() is None and not list(output.glob("shard-*")):
            time.sleep(0.05)
        cluster.scheduler.kill()
        out, err = process.communicate(timeout=300)
    empty(cluster)
    assert process.returncode == 2
    assert out == ""
    one_sentence(without_advice(err), "scheduler", "gone")
    assert run_json("inspect", output)["regions"] > 0
