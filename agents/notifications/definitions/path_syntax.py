"""The text of a path, read into its parts: the dialect of JSONPath that Ceilometer's definition files are written in.

```
union    = sum { "|" sum }                        all results of each, in order; binds loosest of all
sum      = product { ("+" | "-") product }
product  = operand { ("*" | "/") operand }        usual arithmetic, from left to right
operand  = number | "text" | path                 beside an operator a quoted text alone is a text; a field alone is written $.name
path     = ("$" | "@" | "(" union ")" | child) { step }
step     = "." child | ".." child | bracket
child    = name | "quoted name" | "*" | bracket | "(" union ")" | "`function`"
bracket  = "[" (number | "*" | "quoted name" | "?" conditions) "]"
conditions = condition { "&" condition }          each may stand in parentheses
condition  = path [ ("=" | "==" | "!=" | "<" | "<=" | ">" | ">=") (number | "text" | word | true | false) ]
function = len | lower | sorted | split(separator, index, maxsplit) | sub(/regular expression/, replacement)
```

``$`` is the document, ``@`` the value at hand; a path that begins with a name looks in the value at hand. Names may hold ``-``, so a minus
needs a blank before it. The step ``"nova_object.data"`` stands for nothing: Nova's versioned payloads are unwrapped before anyone looks
at them.

Ours: ``|`` binds looser than ``.``. In Ceilometer ``a.b|a.c`` is ``a.(b|a).c``, which finds nothing where it is meant to help.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal

from .path_parts import (
    Arithmetic,
    Below,
    Call,
    Children,
    Condition,
    Expression,
    Field,
    Filter,
    Index,
    Items,
    Literal,
    Nested,
    Path,
    Same,
    Step,
    Union,
)

__all__ = ["BadPath", "parse_path"]

MAX_LENGTH = 2000
MAX_NESTING = 20


class BadPath(ValueError):
    """A text is no path; the message names the place and what was expected there."""

    def __init__(self, text: str, position: int, expected: str) -> None:
        super().__init__(f"path {text!r:.200} at character {position + 1}: expected {expected}")
        self.text, self.position, self.expected = text, position, expected


_name = re.compile(r"[^\W\d][\w-]*")
_whole = re.compile(r"-?[0-9]{1,18}")
_number = re.compile(r"-?[0-9]{1,64}(\.[0-9]{1,64})?(?![\w.])")
_comparison = re.compile(r"[=!<>]=|[=<>]")
_split = re.compile(r"split\(\s*('[^']+'|\"[^\"]+\"|.+?)\s*,\s*(-?[0-9]{1,9})\s*,\s*(-?[0-9]{1,9})\s*\)", re.DOTALL)
_sub = re.compile(r"sub\(\s*/(.*)/\s*,(.*)\)", re.DOTALL)


def parse_path(text: str) -> Expression:
    """Read a path. Raises BadPath."""
    if len(text) > MAX_LENGTH:
        raise BadPath(text, MAX_LENGTH, f"at most {MAX_LENGTH} characters")
    return _Reader(text).whole()


class _Reader:
    """Reads from left to right and never goes back; what nests is counted, so no text takes long or goes deep."""

    def __init__(self, text: str) -> None:
        self.text, self.position, self.depth = text, 0, 0

    def whole(self) -> Expression:
        expression = self.union()
        if self.position < len(self.text):
            raise self.bad("'.', '[', an operator (a minus needs a blank before it) or the end")
        return expression

    def union(self) -> Expression:
        self.deeper()
        members = [self.sum()]
        while self.take("|"):
            members.append(self.sum())
        self.depth -= 1
        return members[0] if len(members) == 1 else Union(tuple(members))

    def sum(self) -> Expression:
        return self.chain(self.product, "+-")

    def product(self) -> Expression:
        return self.chain(self.operand, "*/")

    def chain(self, operand: Callable[[], Expression], operators: str) -> Expression:
        begin, rest = self.skip_blanks(), []
        first = operand()
        while operator := self.take(*operators):
            if not rest:
                first = self.beside_operator(first, begin)
            begin = self.skip_blanks()
            rest.append((operator, self.beside_operator(operand(), begin)))
        return Arithmetic(first, tuple(rest)) if rest else first

    def beside_operator(self, operand: Expression, begin: int) -> Expression:
        match operand:
            case Path("@", (Field(name, True),)):
                return Literal(name)
            case Path("@", (Field(name, False),)) if self.text[begin] not in "@([":
                # A text for Ceilometer, but it looks like a field.
                raise BadPath(self.text, begin, f"$.{name} for the field, or '{name}' for the text")
        return operand

    def operand(self) -> Expression:
        number = self.try_match(_number)
        return Literal(_value_of(number)) if number else self.path()

    def path(self) -> Expression:
        start: str | Expression = self.take("$", "@", "(")
        steps: list[Step] = []
        if start == "(":
            start = self.union()
            self.expect(")")
        elif not start:
            start = "@"
            if not self.ahead("["):
                steps.append(self.child("'$', '@', '(', a number, a name, a quoted text or '*'", in_path=False))
        while step := self.step():
            steps.append(step)
        return Path(start, tuple(steps)) if steps or isinstance(start, str) else start

    def step(self) -> Step | None:
        if self.ahead("["):
            return self.bracket()
        if not self.take("."):
            return None
        if not self.take("."):
            return self.child("a name, a quoted name, '*', '[', '(' or '`'")
        return Below(self.child("a name, a quoted name, '*' or '['", in_path=False))

    def child(self, expected: str, *, in_path: bool = True) -> Step:
        if self.ahead("["):
            return self.bracket()
        if self.take("*"):
            return Children()
        if in_path and self.ahead("`"):
            return self.function()
        if in_path and self.take("("):
            expression = self.union()
            self.expect(")")
            return Nested(expression)
        quoted = self.quoted()
        if quoted is not None:
            return _field(quoted)
        return Field(self.match(_name, expected))

    def bracket(self) -> Step:
        self.expect("[")
        step: Step
        quoted = self.quoted()
        if quoted is not None:
            step = _field(quoted, in_brackets=True)
        elif self.take("*"):
            step = Items()
        elif self.take("?"):
            step = Filter(tuple(self.conditions()))
        else:
            step = Index(int(self.match(_whole, "a whole number, '*', a quoted name or '?'")))
        self.expect("]")
        return step

    def conditions(self) -> list[Condition]:
        self.deeper()
        found: list[Condition] = []
        while True:
            if self.take("("):
                found += self.conditions()
                self.expect(")")
            else:
                found.append(self.condition())
            if not self.take("&"):
                self.depth -= 1
                return found
            self.take("&")

    def condition(self) -> Condition:
        path = self.path()
        if not isinstance(path, Path):
            raise self.bad("a path")
        comparison = self.try_match(_comparison)
        if not comparison:
            return Condition(path)
        value: str | int | Decimal | bool | None = self.quoted()
        if value is None and (number := self.try_match(_number)):
            value = _value_of(number)
        if value is None:
            word = self.match(_name, "a number, a quoted text, a word, true or false")
            value = {"true": True, "false": False}.get(word, word)
        return Condition(path, "=" if comparison == "==" else comparison, value)

    def function(self) -> Call:
        self.expect("`")
        start = self.position
        end = self.text.find("`", start)
        if end < 0:
            raise BadPath(self.text, len(self.text), "a '`' that ends the function")
        source = self.text[start:end].strip()
        self.position = end + 1
        if source in ("len", "lower", "sorted"):
            return Call(source)
        if parts := _split.fullmatch(source):
            separator, index, limit = parts.groups()
            if separator[0] in "'\"" and separator[-1] == separator[0] and len(separator) > 2:
                separator = separator[1:-1]
            return Call("split", (separator, int(index), int(limit)))
        if parts := _sub.fullmatch(source):
            return Call("sub", self.substitution(parts[1], parts[2].strip(), start))
        raise BadPath(
            self.text,
            start,
            "`len`, `lower`, `sorted`, `split(separator, index, maxsplit)` or `sub(/expression/, replacement)`",
        )

    def substitution(self, expression: str, replacement: str, position: int) -> tuple[re.Pattern[str], str]:
        try:
            pattern = re.compile(expression)
            pattern.sub(replacement, "")
        except (re.error, IndexError, OverflowError, RecursionError) as error:
            raise BadPath(self.text, position, f"a regular expression and its replacement: {error}") from error
        return pattern, replacement

    def quoted(self) -> str | None:
        quote = self.take("'", '"')
        if not quote:
            return None
        characters: list[str] = []
        while self.position < len(self.text):
            character = self.text[self.position]
            self.position += 1
            if character == quote:
                return "".join(characters)
            if character == "\\" and self.position < len(self.text):
                character = self.text[self.position]
                self.position += 1
            characters.append(character)
        raise self.bad(f"{quote} that ends the quoted text")

    def take(self, *tokens: str) -> str:
        """The token that comes next, if it is one of these; "" otherwise."""
        self.skip_blanks()
        for token in tokens:
            if self.text.startswith(token, self.position):
                self.position += len(token)
                return token
        return ""

    def ahead(self, token: str) -> bool:
        self.skip_blanks()
        return self.text.startswith(token, self.position)

    def expect(self, token: str) -> None:
        if not self.take(token):
            raise self.bad(repr(token))

    def try_match(self, pattern: re.Pattern[str]) -> str:
        self.skip_blanks()
        found = pattern.match(self.text, self.position)
        if not found:
            return ""
        self.position = found.end()
        return found[0]

    def match(self, pattern: re.Pattern[str], expected: str) -> str:
        found = self.try_match(pattern)
        if not found:
            raise self.bad(expected)
        return found

    def skip_blanks(self) -> int:
        """The position of what comes next."""
        while self.position < len(self.text) and self.text[self.position].isspace():
            self.position += 1
        return self.position

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise self.bad(f"at most {MAX_NESTING} parentheses and conditions in one another")

    def bad(self, expected: str) -> BadPath:
        return BadPath(self.text, self.position, expected)


def _field(name: str, *, in_brackets: bool = False) -> Field | Same:
    return Same() if name == "nova_object.data" else Field(name, quoted=not in_brackets)


def _value_of(number: str) -> int | Decimal:
    return Decimal(number) if "." in number else int(number)
