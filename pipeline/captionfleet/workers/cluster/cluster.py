"""Sends clips to the nodes of a Ray cluster, and tracks which nodes get none (main process)."""

import pickle
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import anyio
from anyio import to_thread

from captionfleet.config import JobConfig
from captionfleet.errors import MachineError
from captionfleet.messages import printable
from captionfleet.telemetry import Tally, get_log, monotonic_s
from captionfleet.telemetry.tally import NodeFigures
from captionfleet.workers.cluster import task
from captionfleet.workers.cluster.parcels import Parcel, Reply
from captionfleet.workers.cluster.ray_session import is_reachable, open_ray
from captionfleet.workers.cluster.refusals import Refusals

__all__ = ["Cluster", "LostError", "Returned", "open_cluster"]

_LOOK_S = 5.0
_HEAD_PATIENCE_S = 60.0  # as Ray's own processes wait
_SAY_AFTER_S = 60.0
_FETCH_S = 300.0
_MAX_CHARS = 300


class LostError(Exception):
    """Raised when a clip did not come back: its node died, or its process there was killed."""


class Returned(NamedTuple):
    """The reply for a clip; `media` is Ray's reference to the bytes after it."""

    node_id: str
    node: str
    reply: Reply
    media: Any


@asynccontextmanager
async def open_cluster(
    job: JobConfig, tally: Tally
) -> AsyncIterator[tuple[JobConfig, "Cluster | None"]]:
    """The cluster that a job's workers run on; None if they run on this machine.

    The returned job has a worker for each CPU of the cluster, unless it sets a number.

    Raises:
        ConfigError: Ray is not installed, or the address is invalid.
        MachineError: the cluster does not exist.
    """
    if job.workers.engine == "local":
        yield job, None
        return
    async with open_ray(job.workers.address) as ray:
        cluster = await to_thread.run_sync(Cluster, ray, job, tally)
        if "processes" not in job.workers.model_fields_set:
            workers = job.workers.model_copy(update={"processes": max(1, cluster.cpus)})
            job = job.model_copy(update={"workers": workers})
        yield job, cluster


class Cluster:
    """Hands clips to the nodes of a Ray cluster; Ray chooses the node.

    Clips that wait for a CPU drive Ray's autoscaler. Construction blocks.
    """

    def __init__(self, ray: Any, job: JobConfig, tally: Tally) -> None:
        self._ray = ray
        self._tally = tally
        self._patience_s = job.request.patience_s + job.workers.clip_timeout_s
        ray.cloudpickle.register_pickle_by_value(task)
        self._function = ray.remote(task.prepare_on_node)
        self._needs = {
            "num_cpus": 1,
            "memory": min(job.workers.memory_bytes, job.media.worker_needs_bytes),
            "max_retries": 0,
            "num_returns": 2,
        }
        self._placed_without: tuple[str, ...] = ()
        self._placed = self._elsewhere(())
        self._expected = task.versions_here()
        self._foreign = [str(Path.cwd()), str(Path(sys.argv[0]).resolve().parent), ""]
        self._submitting = anyio.CapacityLimiter(1)
        self._fetching = anyio.CapacityLimiter(4)
        self._refusals = Refusals()
        self._waiting = 0
        self._heard_s = monotonic_s()
        self._head: str = ray.get_runtime_context().gcs_address
        self.cpus = sum(int(node["Resources"].get("CPU", 0)) for node in self._alive())

    async def prepare(self, parcel: Parcel) -> Returned | None:
        """A node's result for a clip; None if the node is unfit, and gets no clips for now.

        Raises:
            LostError: the clip did not come back.
            MachineError: the cluster, or each of its nodes, is unfit for the run.
        """
        head, media = await to_thread.run_sync(
            self._submit, pickle.dumps(parcel), limiter=self._submitting
        )
        self._heard_s = self._heard_s if self._waiting else monotonic_s()
        self._waiting += 1
        try:
            node_id, node, reply, why = await self._outcome(head)
        finally:
            self._waiting -= 1
        self._heard_s = monotonic_s()
        if why:
            await self.refuse(node_id, node, why)
            return None
        return Returned(node_id, node, pickle.loads(reply), media)  # noqa: S301 - of a node

    async def fetch(self, returned: Returned) -> bytes:
        """The media of a clip.

        Raises:
            LostError: they were lost with their node.
        """
        try:
            async with self._fetching:
                with anyio.fail_after(_FETCH_S):
                    media: bytes = await self._outcome(returned.media)
        except TimeoutError:
            raise LostError from None
        return media

    def figures(self, node: str) -> NodeFigures:
        """The counters of a node."""
        return self._tally.nodes.setdefault(node, NodeFigures())

    async def refuse(self, node_id: str, node: str, why: str) -> None:
        """Give a node no clips for some minutes.

        Raises:
            MachineError: no other node is left.
        """
        why = printable(why)[:_MAX_CHARS]
        if self._refusals.add(node_id, f"{node}: {why}", monotonic_s()):
            get_log().warning("node gets no clips", node=node, reason=why)
        self.figures(node).refused = why
        await self._check_nodes()

    async def watch(self) -> None:
        """End the run if every node is unfit, no clip comes back for too long, or the head is gone.

        Raises:
            MachineError: as above.
        """
        is_said = False
        seen_s = monotonic_s()
        while True:
            await anyio.sleep(_LOOK_S)
            if await is_reachable(self._head):
                seen_s = monotonic_s()
            elif monotonic_s() - seen_s > _HEAD_PATIENCE_S:
                raise MachineError(
                    f"the head of the Ray cluster, {self._head}, is gone for "
                    f"{_HEAD_PATIENCE_S:.0f} s"
                )
            if self._waiting:  # a dead node is noticed only after some time
                await self._check_nodes()
            silent_s = monotonic_s() - self._heard_s if self._waiting else 0.0
            if silent_s > self._patience_s:
                raise MachineError(
                    f"no node of the Ray cluster took or finished a clip for {silent_s:.0f} s: "
                    f"each needs a CPU and {self._needs['memory'] / 2**20:.0f} MiB (`ray status`)"
                )
            if silent_s > _SAY_AFTER_S and not is_said:
                get_log().warning(
                    "no clip came back from the Ray cluster yet", waiting_s=round(silent_s)
                )
            is_said = silent_s > _SAY_AFTER_S

    async def _check_nodes(self) -> None:
        if not self._refusals.current(monotonic_s()):
            return
        nodes = await to_thread.run_sync(self._alive)
        able = [one["NodeID"] for one in nodes if one["Resources"].get("CPU")]
        if words := self._refusals.hopeless(able, monotonic_s()):
            raise MachineError(f"no node of the Ray cluster is fit for this run: {words}")

    def _submit(self, packed: bytes) -> tuple[Any, Any]:
        refused = self._refusals.current(monotonic_s())
        if refused != self._placed_without:
            self._placed, self._placed_without = self._elsewhere(refused), refused
        head, media = self._placed.remote(self._expected, self._foreign, packed)
        return head, media

    def _elsewhere(self, refused: tuple[str, ...]) -> Any:
        """The function, to run on any node but these."""
        needs: dict[str, Any] = dict(self._needs)
        if refused:
            needs["label_selector"] = {"ray.io/node-id": f"!in({','.join(refused)})"}
        return self._function.options(**needs)

    async def _outcome(self, reference: Any) -> Any:
        errors = self._ray.exceptions
        try:
            return await reference
        except (
            errors.NodeDiedError,
            errors.ObjectLostError,
            errors.OutOfMemoryError,
            errors.WorkerCrashedError,
        ) as error:
            get_log().warning("clip lost with its node", how=type(error).__name__, is_passing=True)
            self._tally.lost_with_nodes += 1
            raise LostError from None
        except errors.RayError as error:
            words = printable(" ".join(str(error).split()))[:_MAX_CHARS]
            raise MachineError(f"the Ray cluster fails: {words}") from None
        except BaseException:
            self._cancel(reference)
            raise

    def _cancel(self, reference: Any) -> None:
        """Cancel a clip; the rest of it ends with the connection."""
        self._ray.cancel(reference, force=True)

    def _alive(self) -> list[dict[str, Any]]:
        return [node for node in self._ray.nodes() if node["Alive"]]
