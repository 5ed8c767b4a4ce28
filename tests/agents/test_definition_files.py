"""Files that are no YAML: what is written wrong most often is told with the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.definition_files import BadDefinitions, read_definitions

TABS = "indent with blanks, not with tabs"
STAR = "a text that begins with * needs quotes"
PATH = "a path with [ needs quotes"


@pytest.mark.parametrize(
    ("text", "line", "hint"),
    [
        ("a:\n\tb: 1\n", 2, TABS),
        ("a:\n  b: 1\n\tc: 2\n", 3, TABS),
        ("- {event_type: *, traits: {}}\n", 1, STAR),
        ("- event_type: *.end\n", 1, STAR),
        ("x: 1\nmeters: [*cpu, b]\n", 2, STAR),
        ("- a: `len`\n", 1, "a text that begins with ` needs quotes"),
        ("- {volume: $.payload.x[?a = 1].b, c: 2}\n", 1, PATH),
        ("- {volume: $.payload.x[*].b, c: 2}\n", 1, PATH),
        ("m:\n - {a: $.x[0].y}\n", 2, PATH),
    ],
)
def test_a_common_mistake_is_told_with_its_line_and_remedy(tmp_path: Path, text: str, line: int, hint: str) -> None:
    path = tmp_path / "meters.yaml"
    path.write_text(text)
    with pytest.raises(BadDefinitions) as error:
        read_definitions(path)
    (mistake,) = error.value.mistakes
    assert mistake.line == line
    assert mistake.text.startswith("not YAML: ") and hint in mistake.text


@pytest.mark.parametrize(
    "text", ["a: 'b\n", "a: b: c\n", "{", "[*", "a: [\t1]\n  b", "\x00", "a: {<<: 1}", "a: 1\na: 2"]
)
def test_other_mistakes_are_told_without_a_guess(tmp_path: Path, text: str) -> None:
    path = tmp_path / "meters.yaml"
    path.write_text(text)
    with pytest.raises(BadDefinitions):
        read_definitions(path)
