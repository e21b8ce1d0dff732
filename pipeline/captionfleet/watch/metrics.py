"""Serves Prometheus metrics of a running job (main process, and a thread that serves them).

Every label is a deployment of the job, a failure code or a word of this module, so that the number
of labels is bounded before the run begins.
"""

import errno
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
from anyio import to_thread

from captionfleet.config import MetricsConfig
from captionfleet.errors import ConfigError
from captionfleet.messages import Attempt, Caption, Outcome
from captionfleet.sender.routing.router import Router
from captionfleet.telemetry import Tally, get_log

if TYPE_CHECKING:
    from prometheus_client import Histogram, Metric

__all__ = ["Metrics", "look_at_port", "open_metrics"]

_PREFIX = "captionfleet"
_REQUEST_BOUNDS_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320)
_FIRST_TOKEN_BOUNDS_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_PREPARE_BOUNDS_S = (0.01, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_TOTAL_BOUNDS_S = (0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640)
_Values = Mapping[tuple[str, ...], int]
_TAKEN = {errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL}


@asynccontextmanager
async def open_metrics(config: MetricsConfig, tally: Tally) -> AsyncIterator["Metrics | None"]:
    """Serve /metrics while the block runs; None if no port is set.

    Raises:
        ConfigError: prometheus-client is not installed, or the port cannot be used.
    """
    if config.port is None:
        yield None
        return
    metrics = await to_thread.run_sync(Metrics, tally)  # the import reads from the disk
    close = await to_thread.run_sync(_serve, config.host, config.port, metrics.registry)
    get_log().info("metrics", host=config.host, port=config.port)
    try:
        yield metrics
    finally:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(close)


def _serve(host: str, port: int, registry: Any) -> Callable[[], None]:
    """Start serving in a thread; call the result to end it. Blocks."""
    from prometheus_client import start_http_server  # noqa: PLC0415 - an extra

    try:
        server, thread = start_http_server(port, host, registry)
    except (OSError, socket.gaierror) as error:
        raise ConfigError(_refused(host, port, error)) from None

    def close() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return close


def _refused(host: str, port: int, error: OSError) -> str:
    reason = os.strerror(error.errno) if error.errno in _TAKEN else error.strerror
    return f"--metrics-port: cannot listen on {host}:{port}: {reason}"


async def look_at_port(config: MetricsConfig) -> str:
    """What keeps a run from serving its metrics at the moment; empty if nothing does.

    Raises:
        ConfigError: as `open_metrics` does, unless another program, such as a run, has the port.
    """
    if config.port is None:
        return ""
    await to_thread.run_sync(Metrics, Tally())
    try:
        await to_thread.run_sync(_bind, config.host, config.port)
    except OSError as error:
        refused = _refused(config.host, config.port, error)
        if error.errno != errno.EADDRINUSE:
            raise ConfigError(refused) from None
        return refused
    return ""


def _bind(host: str, port: int) -> None:
    """Bind the port without listening: no client can connect. Blocks."""
    family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, socket.SOCK_STREAM) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        bound.bind(address)


class Metrics:
    """Counts outcomes; reads everything else when it is scraped.

    Raises:
        ConfigError: prometheus-client is not installed.
    """

    def __init__(self, tally: Tally) -> None:
        try:
            from prometheus_client import CollectorRegistry, Histogram  # noqa: PLC0415 - an extra
        except ImportError:
            raise ConfigError(
                "--metrics-port needs prometheus-client: pip install 'captionfleet[metrics]'"
            ) from None
        self.registry = CollectorRegistry(auto_describe=False)
        self._tally = tally
        self._router: Router | None = None
        self._failures: Counter[str] = Counter()
        self._requests: Counter[tuple[str, ...]] = Counter()
        self._histograms = dict(_histograms(Histogram, self.registry))
        self.registry.register(self)

    def watch(self, router: Router) -> Callable[[Outcome, bool], None]:
        """Report these deployments from now on; call the result with every outcome."""
        self._router = router
        return self.observe

    def observe(self, outcome: Outcome, is_first: bool) -> None:  # noqa: FBT001 - as it is called
        """Count an outcome; `is_first` says that it is the first caption of its clip."""
        for attempt in outcome.attempts:
            self._requests[attempt.deployment, _status_class(attempt)] += 1
        if not isinstance(outcome, Caption):
            self._failures[outcome.code.value] += 1
            return
        latency, deployment = outcome.latency, outcome.deployment
        if is_first:
            self._histograms["prepare"].observe(latency.prepare_s)
        self._histograms["clip"].observe(latency.total_s)
        self._histograms["request"].labels(deployment).observe(latency.request_s)
        if latency.ttft_s is not None:
            self._histograms["first_token"].labels(deployment).observe(latency.ttft_s)

    def collect(self) -> Iterator["Metric"]:
        """Called by prometheus-client in its thread, so everything is copied at once."""
        yield from self._counters()
        yield from self._gauges()

    def _counters(self) -> Iterator["Metric"]:
        tally = self._tally
        clips: dict[tuple[str, ...], int] = {("captioned", ""): tally.captioned}
        clips |= {("failed", code): number for code, number in dict(self._failures).items()}
        yield _counter(
            "clips",
            "Clips that have their line, once for each named request",
            ("outcome", "code"),
            clips,
        )
        yield _counter(
            "tokens", "Tokens as the deployments count them", ("kind",),
            {
                ("prompt",): tally.prompt_tokens,
                ("completion",): tally.completion_tokens,
                ("cached",): tally.cached_tokens,
            },
        )  # fmt: skip
        yield _counter("retries", "Requests beyond a clip's first", (), {(): tally.retries})
        yield _counter(
            "requests", "Requests of clips that have their line, by class of status",
            ("deployment", "status"), dict(self._requests),
        )  # fmt: skip

    def _gauges(self) -> Iterator["Metric"]:
        tally = self._tally
        replicas = self._router.replicas.items() if self._router else ()
        flight: _Values = {(name,): replica.in_flight for name, replica in replicas}
        windows: _Values = {(name,): replica.window.size for name, replica in replicas}
        up: _Values = {(name,): int(replica.is_up) for name, replica in replicas}
        by = ("deployment",)
        yield _gauge("in_flight", "Requests in flight", by, flight)
        yield _gauge("window", "Requests that may be in flight", by, windows)
        yield _gauge("deployment_up", "1 while it takes requests", by, up)
        yield _gauge("preparing", "Clips that workers are preparing", (), {(): tally.preparing})
        yield _gauge(
            "planned_clips",
            "Clips found to be done so far, once for each named request",
            (),
            {(): tally.planned},
        )


def _status_class(attempt: Attempt) -> str:
    return "none" if attempt.status is None else f"{attempt.status // 100}xx"


def _histograms(kind: "type[Histogram]", registry: Any) -> Iterator[tuple[str, "Histogram"]]:
    plans: tuple[tuple[str, str, tuple[str, ...], tuple[float, ...]], ...] = (
        ("request", "The request that brought a caption", ("deployment",), _REQUEST_BOUNDS_S),
        ("first_token", "Its time to the first token", ("deployment",), _FIRST_TOKEN_BOUNDS_S),
        ("prepare", "Preparing a captioned clip", (), _PREPARE_BOUNDS_S),
        ("clip", "A captioned clip from worker to caption", (), _TOTAL_BOUNDS_S),
    )
    for name, what, labels, bounds in plans:
        histogram = kind(
            f"{_PREFIX}_{name}_seconds", what, labels, buckets=bounds, registry=registry
        )
        yield name, histogram


def _counter(name: str, what: str, labels: tuple[str, ...], values: _Values) -> "Metric":
    from prometheus_client.core import CounterMetricFamily  # noqa: PLC0415 - an extra

    family = CounterMetricFamily(f"{_PREFIX}_{name}", what, labels=labels)
    for each, value in values.items():
        family.add_metric(each, value)
    return family


def _gauge(name: str, what: str, labels: tuple[str, ...], values: _Values) -> "Metric":
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 - an extra

    family = GaugeMetricFamily(f"{_PREFIX}_{name}", what, labels=labels)
    for each, value in values.items():
        family.add_metric(each, value)
    return family
