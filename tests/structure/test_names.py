from pathlib import Path

import pytest

from tools.check_names import findings


# Spelled in halves, since the check reads this file too.
@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("cd /ro" + "ot/project", "a machine path"),
        ("path = '/ho" + "me/ana/project'", "a machine path"),
        ("open('C:\\\\Us" + "ers\\\\ana')", "a machine path"),
        ("--index-url https://py" + "pi.org/simple", "a registry host"),
        ("resolved https://registry.np" + "mjs.org/x", "a registry host"),
    ],
)
def test_a_machine_path_or_registry_host_is_refused(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "file"
    path.write_text(f"first line\n{text}\n", "utf-8")
    assert [line.rpartition(": ")[0] for line in findings(path, "file")] == [f"file:2: names {named}"]


@pytest.mark.parametrize("text", ["~/.ontomesh", "$HOME/work/x", "https://example.org/root/x", "/usr/bin/env bash"])
def test_other_text_is_accepted(tmp_path: Path, text: str) -> None:
    path = tmp_path / "file"
    path.write_text(text, "utf-8")
    assert findings(path, "file") == []
