"""The picture as PNG."""

from __future__ import annotations

import struct
import sys
import zlib
from pathlib import Path

import pytest

from sessionfsm import DefinitionError
from sessionfsm.cli import ExitCode, main
from sessionfsm.diagram import diagram_of, png, svg
from sessionfsm.lifecycle import Machine


@pytest.fixture
def font() -> None:
    try:
        png(svg(diagram_of(Machine()), detail="overview"))
    except DefinitionError as error:
        if "no font" not in str(error):
            raise
        pytest.skip("this machine has no font")


def pixels(data: bytes) -> tuple[int, int, set[bytes]]:
    """Return width, height and the colours of every tenth row, read by the format's own rules."""
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", data[16:29])
    assert (depth, kind, interlaced) == (8, 6, 0)
    at, packed = 8, b""
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        name, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        (stored,) = struct.unpack(">I", data[at + 8 + length : at + 12 + length])
        assert zlib.crc32(name + body) == stored
        packed += body if name == b"IDAT" else b""
        at += 12 + length
    rows, line = zlib.decompress(packed), 1 + 4 * width
    assert len(rows) == line * height
    colours: set[bytes] = set()
    before = bytes(4 * width)
    for row in range(height):
        before = unfiltered(rows[row * line], rows[row * line + 1 : (row + 1) * line], before)
        if row % 10 == 0:
            colours |= {before[place : place + 4] for place in range(0, len(before), 4)}
    return width, height, colours


def unfiltered(kind: int, row: bytes, above: bytes) -> bytes:
    out = bytearray(row)
    for place in range(len(row)):
        left = out[place - 4] if place >= 4 else 0
        corner = above[place - 4] if place >= 4 else 0
        match kind:
            case 1:
                guess = left
            case 2:
                guess = above[place]
            case 3:
                guess = (left + above[place]) // 2
            case 4:
                far = left + above[place] - corner
                guess = min((left, above[place], corner), key=lambda near: abs(far - near))
            case _:
                guess = 0
        out[place] = (row[place] + guess) % 256
    return bytes(out)


@pytest.mark.usefixtures("font")
@pytest.mark.parametrize(("scheme", "paper"), [("light", "#ffffff"), ("dark", "#12171d")])
def test_it_has_the_size_and_the_colours_of_the_picture(scheme: str, paper: str) -> None:
    drawn = svg(diagram_of(Machine()), detail="overview", scheme="dark" if scheme == "dark" else "light")
    width, height, colours = pixels(png(drawn, zoom=1))
    assert f'width="{width}" height="{height}"' in drawn
    assert bytes.fromhex(paper[1:]) + b"\xff" in colours
    assert len(colours) > 20, "letters have soft edges"


@pytest.mark.usefixtures("font")
def test_the_command_writes_it(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Into a file, and to standard output."""
    file = tmp_path / "lifecycle.png"
    assert main(["diagram", "--output", str(file)]) == ExitCode.OK
    assert main(["diagram", "--format", "png"]) == ExitCode.OK
    assert capfdbinary.readouterr().out == file.read_bytes()
    assert file.read_bytes().startswith(b"\x89PNG")


def test_it_is_not_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagram", "--check", str(tmp_path / "lifecycle.png")]) == ExitCode.MISUSE
    assert "a PNG differs from machine to machine; commit the svg" in capsys.readouterr().err


def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    assert main(["diagram", "--format", "png"]) == ExitCode.MISUSE
    assert "pip install 'sessionfsm[png]'" in capsys.readouterr().err


@pytest.mark.usefixtures("font")
def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(DefinitionError, match="this is no picture of ours"):
        png("<svg")


def test_where_there_is_no_font_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture without its letters is not written."""
    monkeypatch.setattr("resvg_py.svg_to_bytes", lambda **_: b"blank")
    with pytest.raises(DefinitionError, match="no font to write with"):
        png(svg(diagram_of(Machine())))
