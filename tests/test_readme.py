"""What the README shows is run as it stands."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_lifecycle_alone_runs_in_somebody_elses_loop(capsys: pytest.CaptureFixture[str]) -> None:
    """The second example ends by itself, after one loss and one wait of the first rung."""
    exec(compile(SNIPPETS[1], "README.md", "exec"), {})
    assert capsys.readouterr().out == (
        "waiting 5 s because the server does not know the session, though it was renewed: it is denied\n"
    )


def test_the_first_example_answers_on_the_fake_server(tmp_path: Path) -> None:
    """Pasted into a file, with the port of a running `sessionfsm server`, it answers what users write."""
    server = subprocess.Popen(
        [sys.executable, "-m", "sessionfsm", "server", "--message-every", "0.2", "--hold", "2"],
        stdout=subprocess.PIPE,
        text=True,
    )
    bot = None
    try:
        assert server.stdout is not None
        url = server.stdout.readline().split()[-1]
        assert "http://127.0.0.1:8765" in SNIPPETS[0]
        example = tmp_path / "bot.py"
        example.write_text(SNIPPETS[0].replace("http://127.0.0.1:8765", url), encoding="utf-8")
        bot = subprocess.Popen([sys.executable, str(example)])
        for line in server.stdout:
            if "sendmessage" in line:
                break
        assert "sendmessage" in line
    finally:
        for process in (bot, server):
            if process is not None:
                process.kill()
                process.wait(timeout=10)
        if server.stdout is not None:
            server.stdout.close()


def test_every_link_of_the_documents_leads_somewhere() -> None:
    """Relative links in README and docs point to files that exist."""
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"
