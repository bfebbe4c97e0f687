"""Remedies against a hang, as options behind a design's name: ``split+send-timeout=5s``.

A name with options stands wherever a design's name does, and tells its runs apart in tables, JSON
and run directories.  Several options follow each other: ``split+ram-outside-lock+nodelay``.  A
value is a quantity of the scenario, written without a space; left out, it is the remedy's own.

This module reads the names, and sets what is a key of the scenario; what changes the protocol is
done by `colosim.designs.remedied`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from colosim.errors import DesignError
from colosim.scenario.network import Keepalive
from colosim.scenario.units import COUNT, SIZE, TIME, Kind, UnitError, nearest, parse, show

if TYPE_CHECKING:
    from colosim.scenario.model import Scenario

_SMALLEST_BYTES: Final = 64 * 1024
"""No buffer and no chunk is smaller: a whole TCP segment fits in."""


@dataclass(frozen=True, slots=True)
class Remedy:
    """A remedy.

    `origin` says where it stands in QEMU or Linux, with the word *proposed* where it does not
    stand in QEMU's COLO.  `measure` is the kind of its value, `default` the value's text, `least`
    and `most` the smallest and the largest in base units; a remedy without a value has none of
    them.  `section` and `attributes` name what it sets in the scenario, `sets` the value if it
    takes none; a remedy that changes the protocol sets nothing.
    """

    name: str
    summary: str
    origin: str
    measure: Kind | None = None
    default: str = ""
    least: int = 1
    most: int = 10**15
    section: str = ""
    attributes: tuple[str, ...] = ()
    sets: object = None

    @property
    def usage(self) -> str:
        """How it is written."""
        return f"{self.name}={self.default}" if self.default else self.name


REMEDIES: Final = (
    Remedy(
        "send-timeout",
        "a send that gets no byte into its socket for so long fails; COLO ends by its error path",
        "proposed, in the manner of SO_SNDTIMEO; a comment in colo.c asks for a timeout since "
        "colo-v3.0 (2016-06-03)",
        TIME,
        "5s",
        section="network",
        attributes=("send_timeout_ns",),
    ),
    Remedy(
        "user-timeout",
        "TCP gives up what stays unacknowledged or unsent for so long",
        "TCP_USER_TIMEOUT of Linux 2.6.37 (RFC 5482); on COLO's socket: proposed",
        TIME,
        "5s",
        section="network",
        attributes=("user_timeout_ns",),
    ),
    Remedy(
        "keepalive",
        "TCP probes an idle connection: after 5 s of silence 5 times, each second",
        "SO_KEEPALIVE of Linux, with TCP_KEEPIDLE, TCP_KEEPINTVL and TCP_KEEPCNT; "
        "on COLO's socket: proposed",
        section="network",
        attributes=("keepalive",),
        sets=Keepalive.model_validate({"idle": "5 s", "interval": "1 s", "probes": 5}),
    ),
    Remedy(
        "nodelay",
        "small messages leave at once, without waiting for an ACK",
        "TCP_NODELAY; on COLO's socket: proposed",
        section="network",
        attributes=("nagle",),
        sets=False,
    ),
    Remedy(
        "socket-buffers",
        "send and receive buffer of this size",
        "net.ipv4.tcp_wmem and tcp_rmem of Linux",
        SIZE,
        "128MiB",
        _SMALLEST_BYTES,
        section="network",
        attributes=("send_buffer_bytes", "receive_buffer_bytes"),
    ),
    Remedy(
        "yank",
        "the cluster manager shuts the connection down out of band before x-colo-lost-heartbeat",
        "50186051f4 (QEMU 6.0, 2020-12-28)",
        section="manager",
        attributes=("policy",),
        sets="yank-then-lost-heartbeat",
    ),
    Remedy(
        "ram-outside-lock",
        "the primary streams RAM without the lock; only device state is saved under it",
        "3f6df99d9d (QEMU 3.1, 2018-09-03)",
    ),
    Remedy(
        "receive-outside-lock",
        "the secondary receives RAM without its lock",
        "as v9 (2015) to QEMU 3.0 did; on the code since QEMU 3.1: proposed",
    ),
    Remedy(
        "chunked-lock",
        "the primary lets its lock go between chunks of RAM of this size",
        "proposed",
        SIZE,
        "1MiB",
        _SMALLEST_BYTES,
    ),
)
"""Every remedy, in the order of tables."""

OF_SOME: Final = (
    Remedy(
        "multifd",
        "so many channels of their own carry RAM (the migration capability)",
        "dd67c149e2 (QEMU 11); packets and syncs measured on 11.1.3",
        COUNT,
        "4",
        most=16,
    ),
    Remedy(
        "gap-migration",
        "between checkpoints, each second, pages are sent ahead if so much is dirty",
        'zhanghailiang, "COLO: Migrate dirty pages during the gap of checkpointing" (v2, '
        "2020-02-24; not in QEMU)",
        SIZE,
        "100MiB",
    ),
    Remedy(
        "migrate-first",
        "a checkpoint begins with up to 10 passes of pages sent ahead while so much is dirty",
        'Derek Su, "migration/colo.c: migrate dirty ram pages before colo checkpoint" (2020-06-21; '
        "not in QEMU)",
        SIZE,
        "100MiB",
    ),
    Remedy(
        "join-under-lock",
        "a bug to 6.1 (mended by 684bfd1820): failover joins the secondary's COLO thread with the "
        "lock held",
        '684bfd1820 (QEMU 6.2, 2021-11-03): "Fixed SVM hang when do failover before PVM crash"',
    ),
    Remedy(
        "rate-limit",
        "a bug of 5.0 (mended by 773861274a): once its socket is shut down, each page that is left "
        "waits 100 ms",
        '773861274a (QEMU 5.1, 2020-06-01): "Fix hang in ram_save_host_page"',
    ),
)
"""Capabilities and bugs of their time: options that only the designs may have that they name."""

_BY_NAME: Final = {remedy.name: remedy for remedy in (*REMEDIES, *OF_SOME)}


@dataclass(frozen=True, slots=True)
class Option:
    """A remedy chosen, with its value in base units (None: it takes none)."""

    remedy: Remedy
    value: int | None

    @property
    def name(self) -> str:
        """The remedy's name."""
        return self.remedy.name


def options_of(name: str) -> tuple[str, tuple[Option, ...]]:
    """Split a design's name into the design's own and its options.

    :raises DesignError: if there is no such remedy, its value is none, or it stands twice.
    """
    design, *texts = name.split("+")
    options: list[Option] = []
    for text in texts:
        option = _option(text, name)
        if any(other.remedy is option.remedy for other in options):
            raise DesignError(f"{show(name)}: the remedy {option.name!r} stands twice")
        options.append(option)
    return design, tuple(options)


def _option(text: str, name: str) -> Option:
    word, equals, given = text.partition("=")
    remedy = _BY_NAME.get(word)
    if remedy is None:
        near = nearest(word, _BY_NAME) if word else None
        hint = f"; did you mean {near!r}?" if near else ""
        raise DesignError(
            f"{show(name)}: no remedy is called {word!r}; there are {', '.join(_BY_NAME)}{hint}"
        )
    if remedy.measure is None:
        if equals:
            raise DesignError(f"{show(name)}: the remedy {word!r} takes no value")
        return Option(remedy, None)
    try:
        value = parse(given if equals else remedy.default, remedy.measure)
    except UnitError as error:
        raise DesignError(f"{show(name)}: {word}: {error}") from None
    if not remedy.least <= value <= remedy.most:
        raise DesignError(
            f"{show(name)}: {word}: {given} is out of range; expected {remedy.measure.name} "
            f"such as {remedy.default!r}"
        )
    return Option(remedy, value)


def conditions_of(scenario: Scenario, design: str) -> Scenario:
    """Return `scenario` as the design called `design` runs under it.

    :raises DesignError: as `options_of`.
    """
    return with_remedies(scenario, options_of(design)[1])


def with_remedies(scenario: Scenario, options: Iterable[Option]) -> Scenario:
    """Return `scenario` with the keys set that `options` stand for."""
    changes: dict[str, dict[str, object]] = {}
    for option in options:
        remedy = option.remedy
        value = remedy.sets if option.value is None else option.value
        for attribute in remedy.attributes:
            changes.setdefault(remedy.section, {})[attribute] = value
    if not changes:
        return scenario
    sections = {
        name: getattr(scenario, name).model_copy(update=update) for name, update in changes.items()
    }
    return scenario.model_copy(update=sections)
