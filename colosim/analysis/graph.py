"""The wait-for graph as such: nodes, edges, and the chains from what waits down to its cause.

A node waits for at most one other, so from every node one chain leads to its end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Chain", "Edge", "Kind", "Node", "WaitForGraph"]


class Kind(StrEnum):
    """What a node of the graph is."""

    GUEST = "guest"
    COMMAND = "command"
    THREAD = "thread"
    LOCK = "lock"
    BUFFER = "buffer"
    MANAGER = "manager"
    PEER = "peer"
    NETWORK = "network"
    TIMER = "timer"


@dataclass(frozen=True, slots=True)
class Node:
    """Something that waits or is waited for.

    `key` is unique in its graph and stable from run to run; `side` is whose it is, None outside of
    both processes; `state` says in a few words how it stands.
    """

    key: str
    kind: Kind
    side: str | None
    label: str
    state: str = ""


@dataclass(frozen=True, slots=True)
class Edge:
    """`waiter` waits for `target` (keys of nodes), since a time in ns if that is known."""

    waiter: str
    target: str
    label: str
    since_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Chain:
    """The way from one waiting node down to its cause.

    In a cycle the last edge leads back to a node of the chain, and there is no cause.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    cycle: bool

    @property
    def cause(self) -> Node | None:
        """What the chain ends in, None if it is a cycle."""
        return None if self.cycle else self.nodes[-1]

    def ends_outside(self, side: str) -> bool:
        """Whether the cause is neither a thread nor anything else of `side`."""
        cause = self.cause
        return cause is not None and cause.side != side


@dataclass(frozen=True, slots=True)
class WaitForGraph:
    """Who waits for whom at `at_ns`; nodes and edges in the order in which they were met."""

    at_ns: int
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    _targets: Mapping[str, Edge] = field(init=False, repr=False, compare=False)
    _nodes: Mapping[str, Node] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the nodes and edges."""
        object.__setattr__(self, "_targets", {edge.waiter: edge for edge in self.edges})
        object.__setattr__(self, "_nodes", {node.key: node for node in self.nodes})

    def node(self, key: str) -> Node:
        """Return the node of this key.

        :raises KeyError: if there is none.
        """
        return self._nodes[key]

    def waits_for(self, key: str) -> Edge | None:
        """Return the edge out of the node `key`, None if it waits for nothing."""
        return self._targets.get(key)

    def chain(self, key: str) -> Chain:
        """Return the chain from the node `key` down to its cause.

        :raises KeyError: if there is no such node.
        """
        nodes, edges = [self._nodes[key]], []
        seen = {key}
        while (edge := self._targets.get(nodes[-1].key)) is not None:
            edges.append(edge)
            if edge.target in seen:
                return Chain(tuple(nodes), tuple(edges), cycle=True)
            seen.add(edge.target)
            nodes.append(self._nodes[edge.target])
        return Chain(tuple(nodes), tuple(edges), cycle=False)

    @property
    def roots(self) -> tuple[Node, ...]:
        """The nodes that wait and that nobody waits for; of a cycle alone, its first node."""
        targets = {edge.target for edge in self.edges}
        roots = [edge.waiter for edge in self.edges if edge.waiter not in targets]
        reached = {node.key for key in roots for node in self.chain(key).nodes}
        for edge in self.edges:
            if edge.waiter not in reached:
                roots.append(edge.waiter)
                reached |= {node.key for node in self.chain(edge.waiter).nodes}
        return tuple(self._nodes[key] for key in roots)

    @property
    def chains(self) -> tuple[Chain, ...]:
        """The chains from all roots."""
        return tuple(self.chain(node.key) for node in self.roots)

    @property
    def cycles(self) -> tuple[tuple[Node, ...], ...]:
        """The cycles, each from its first node in the graph's order."""
        found: list[tuple[Node, ...]] = []
        known: set[str] = set()
        for edge in self.edges:
            chain = self.chain(edge.waiter)
            if not chain.cycle:
                continue
            keys = [node.key for node in chain.nodes]
            cycle = chain.nodes[keys.index(chain.edges[-1].target) :]
            if not known & {node.key for node in cycle}:
                known |= {node.key for node in cycle}
                found.append(cycle)
        return tuple(found)
