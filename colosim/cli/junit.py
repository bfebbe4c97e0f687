"""Outcomes of a check as JUnit XML, which CI systems show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from colosim.runs.check import Outcome


def junit(outcomes: Sequence[Outcome]) -> bytes:
    """Return one suite: a case a bound, named by its key, of the class SCENARIO.DESIGN."""
    failed = sum(not outcome.passed for outcome in outcomes)
    counts = {"tests": str(len(outcomes)), "failures": str(failed)}
    suite = ET.Element("testsuite", {"name": "colosim check", **counts})
    for outcome in outcomes:
        of = f"{outcome.scenario}.{outcome.design}"
        case = ET.SubElement(suite, "testcase", {"classname": of, "name": outcome.key})
        if not outcome.passed:
            ET.SubElement(case, "failure", {"message": str(outcome)})
    ET.indent(suite)
    text: bytes = ET.tostring(suite, encoding="utf-8", xml_declaration=True)
    return text + b"\n"
