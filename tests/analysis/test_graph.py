from __future__ import annotations

from colosim.analysis.graph import Edge, Kind, Node, WaitForGraph, dot, mermaid

GRAPH = WaitForGraph(
    0,
    (
        Node("p: loop", Kind.THREAD, "primary", "the main loop"),
        Node("p: lock", Kind.LOCK, "primary", "the lock", "held"),
    ),
    (Edge("p: loop", "p: lock", "waits for", 1_500_000_000),),
)


def test_mermaid_has_a_line_for_each_node_and_edge() -> None:
    """Mermaid text is a flowchart whose nodes are numbered in the graph's order."""
    assert mermaid(GRAPH, "title") == (
        "%% title\n"
        "flowchart TD\n"
        '    n0["the main loop"]\n'
        '    n1{{"the lock<br/>held"}}\n'
        '    n0 -->|"waits for<br/>since 1.500000 s"| n1\n'
    )


def test_dot_names_nodes_by_their_keys() -> None:
    """DOT text is a digraph with quoted keys and labels."""
    assert dot(GRAPH, 'a "title"') == (
        'digraph "a \\"title\\"" {\n'
        "    node [fontname=sans];\n"
        "    edge [fontname=sans];\n"
        '    "p: loop" [label="the main loop", shape=box];\n'
        '    "p: lock" [label="the lock\\nheld", shape=hexagon];\n'
        '    "p: loop" -> "p: lock" [label="waits for\\nsince 1.500000 s"];\n'
        "}\n"
    )


def test_an_empty_graph_is_still_a_drawing() -> None:
    """A run in which nobody waits has an empty flowchart and an empty digraph."""
    empty = WaitForGraph(0, (), ())
    assert mermaid(empty, "t") == "%% t\nflowchart TD\n"
    assert dot(empty, "t").endswith("{\n    node [fontname=sans];\n    edge [fontname=sans];\n}\n")
