"""What the system's Graphviz and PlantUML make of the drawings: ``make check-formats``, outside the gate."""

from __future__ import annotations

import shutil
import subprocess
import xml.etree.ElementTree as ET

import pytest

from sessionfsm.diagram import FORMATS, Detail, diagram_of, overview_of
from sessionfsm.diagram.words import shown

from .tables import MACHINES

pytestmark = pytest.mark.slow

COMMANDS = {
    "dot": ("dot", "-Tsvg"),
    "plantuml": ("plantuml", "-charset", "UTF-8", "-tsvg", "-pipe"),
}


@pytest.mark.parametrize("detail", ["full", "overview"])
@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("program", COMMANDS)
def test_the_program_itself_draws_it(program: str, name: str, detail: Detail) -> None:
    """It draws without a word of complaint, and every state's name is in its picture as it stands in the table."""
    if shutil.which(COMMANDS[program][0]) is None:
        pytest.skip(f"{program} is not installed")
    diagram = diagram_of(MACHINES[name])
    code = FORMATS[program].render(diagram, detail=detail)
    done = subprocess.run(COMMANDS[program], input=code.encode(), capture_output=True, timeout=120, check=False)
    assert (done.returncode, done.stderr.decode()) == (0, "")
    texts = {
        " ".join("".join(element.itertext()).split())
        for element in ET.fromstring(done.stdout).iter()
        if element.tag.rpartition("}")[2] == "text"
    }
    drawn = overview_of(diagram) if detail == "overview" else diagram
    assert {shown(box.name) for box in drawn.boxes} <= texts
