"""The wait-for graph as such: nodes, edges, chains from what waits down to its cause, drawings.

A node waits for at most one other, so from every node one chain leads to its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a node of the graph is."""

    GUEST = "guest"
    COMMAND = "command"
    THREAD = "thread"
    LOCK = "lock"
    BUFFER = "buffer"
    DISK = "disk"
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

    def node(self, key: str) -> Node:
        """Return the node of this key.

        :raises KeyError: if there is none.
        """
        return {node.key: node for node in self.nodes}[key]

    def waits_for(self, key: str) -> Edge | None:
        """Return the edge out of the node `key`, None if it waits for nothing."""
        return next((edge for edge in self.edges if edge.waiter == key), None)

    def chain(self, key: str) -> Chain:
        """Return the chain from the node `key` down to its cause.

        :raises KeyError: if there is no such node.
        """
        nodes, edges = [self.node(key)], []
        while (edge := self.waits_for(nodes[-1].key)) is not None:
            edges.append(edge)
            target = self.node(edge.target)
            if target in nodes:
                return Chain(tuple(nodes), tuple(edges), cycle=True)
            nodes.append(target)
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
        return tuple(self.node(key) for key in roots)

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


# ---- drawings ------------------------------------------------------------------------------------

_LINE = "\n"

_SHAPES = {
    Kind.GUEST: ('(["{}"])', "oval"),
    Kind.COMMAND: ('[/"{}"/]', "parallelogram"),
    Kind.THREAD: ('["{}"]', "box"),
    Kind.LOCK: ('{{{{"{}"}}}}', "hexagon"),
    Kind.BUFFER: ('[("{}")]', "cylinder"),
    Kind.DISK: ('[("{}")]', "cylinder"),
    Kind.MANAGER: ('(["{}"])', "oval"),
    Kind.PEER: ('(("{}"))', "doublecircle"),
    Kind.NETWORK: ('(("{}"))', "doublecircle"),
    Kind.TIMER: ('(("{}"))', "doublecircle"),
}
"""How each kind of node is written in Mermaid, and its shape in DOT."""


def _label(node: Node, newline: str) -> str:
    return f"{node.label}{newline}{node.state}" if node.state else node.label


def _since(edge: Edge, newline: str) -> str:
    label = edge.label.rstrip(",")
    if edge.since_ns is None:
        return label
    return f"{label}{newline}since {edge.since_ns / 1e9:.6f} s"


def mermaid(graph: WaitForGraph, title: str) -> str:
    """Return the graph as a Mermaid flowchart with `title` as a comment."""
    lines = [f"%% {title}", "flowchart TD"]
    number = {node.key: f"n{index}" for index, node in enumerate(graph.nodes)}
    for node in graph.nodes:
        shape = _SHAPES[node.kind][0].format(_label(node, "<br/>"))
        lines.append(f"    {number[node.key]}{shape}")
    for edge in graph.edges:
        text = _since(edge, "<br/>")
        lines.append(f'    {number[edge.waiter]} -->|"{text}"| {number[edge.target]}')
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def dot(graph: WaitForGraph, title: str) -> str:
    """Return the graph as a DOT digraph named `title`."""
    nodes = [
        f"    {_quoted(node.key)} [label={_quoted(_label(node, _LINE))}, "
        f"shape={_SHAPES[node.kind][1]}];"
        for node in graph.nodes
    ]
    edges = [
        f"    {_quoted(edge.waiter)} -> {_quoted(edge.target)} "
        f"[label={_quoted(_since(edge, _LINE))}];"
        for edge in graph.edges
    ]
    head = [
        f"digraph {_quoted(title)} {{",
        "    node [fontname=sans];",
        "    edge [fontname=sans];",
    ]
    return "\n".join([*head, *nodes, *edges, "}"]) + "\n"
