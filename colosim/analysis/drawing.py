"""The wait-for graph as Mermaid and as DOT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colosim.analysis.graph import Kind

if TYPE_CHECKING:
    from colosim.analysis.graph import Edge, Node, WaitForGraph

__all__ = ["dot", "mermaid"]

_MERMAID = {
    Kind.GUEST: '(["{}"])',
    Kind.COMMAND: '[/"{}"/]',
    Kind.THREAD: '["{}"]',
    Kind.LOCK: '{{{{"{}"}}}}',
    Kind.BUFFER: '[("{}")]',
    Kind.MANAGER: '(["{}"])',
    Kind.PEER: '(("{}"))',
    Kind.NETWORK: '(("{}"))',
    Kind.TIMER: '(("{}"))',
}
_DOT = {
    Kind.GUEST: "oval",
    Kind.COMMAND: "parallelogram",
    Kind.THREAD: "box",
    Kind.LOCK: "hexagon",
    Kind.BUFFER: "cylinder",
    Kind.MANAGER: "oval",
    Kind.PEER: "doublecircle",
    Kind.NETWORK: "doublecircle",
    Kind.TIMER: "doublecircle",
}


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
    lines += [
        f"    {number[node.key]}{_MERMAID[node.kind].format(_label(node, '<br/>'))}"
        for node in graph.nodes
    ]
    for edge in graph.edges:
        text = _since(edge, "<br/>")
        lines.append(f'    {number[edge.waiter]} -->|"{text}"| {number[edge.target]}')
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def dot(graph: WaitForGraph, title: str) -> str:
    """Return the graph as a DOT digraph named `title`."""
    lines = [
        f"digraph {_quoted(title)} {{",
        "    node [fontname=sans];",
        "    edge [fontname=sans];",
    ]
    for node in graph.nodes:
        label = _quoted(_label(node, "\n"))
        lines.append(f"    {_quoted(node.key)} [label={label}, shape={_DOT[node.kind]}];")
    for edge in graph.edges:
        label = _quoted(_since(edge, "\n"))
        lines.append(f"    {_quoted(edge.waiter)} -> {_quoted(edge.target)} [label={label}];")
    lines.append("}")
    return "\n".join(lines) + "\n"
