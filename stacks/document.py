"""A YAML file as plain values that remember their lines.

Stricter than YAML: no key twice, no alias, no tag that makes an object, keys are text. What a reviewer reads is what
the program gets.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from stacks.errors import Problem, StackError

Key = str | int
KeyPath = tuple[Key, ...]

_PLAIN_COLLECTIONS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
_TEXT = "tag:yaml.org,2002:str"


@dataclass(frozen=True, kw_only=True)
class Document:
    """The values of a file, and the line each key or list item starts at."""

    file: str
    values: Mapping[str, Any]
    lines: Mapping[KeyPath, int]

    def line(self, path: KeyPath) -> int:
        """The line of `path`, or of the nearest thing around it that the file has."""
        while path not in self.lines:
            path = path[:-1]
        return self.lines[path]


def spell(path: KeyPath) -> str:
    """A path as people write it: `("pins", 0, "cluster")` is `pins[0].cluster`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def read_document(path: Path, *, begins: str = "config") -> Document:
    """The mapping in the YAML file `path`; `StackError` names the line of whatever is not plain data.

    `begins`: the key that such a file starts with, for whoever has an empty one.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise _refusal(path.name, None, (), f"cannot be read ({error.strerror})", "check its permissions") from error
    except UnicodeDecodeError as error:
        raise _refusal(path.name, None, (), f"is not UTF-8 (byte {error.start})", "save it as UTF-8") from error
    return parse_document(text, path.name, begins=begins)


def parse_document(text: str, file: str, *, begins: str = "config") -> Document:
    """The mapping in a YAML text; `file` is named in errors."""
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if not isinstance(root, yaml.MappingNode):
            raise _refusal(file, 1, (), "this file is a mapping of keys", f"start it with `{begins}:`")
        reader = _Reader(file, loader)
        return Document(file=file, values=reader.value(root, ()), lines=reader.lines)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise _refusal(file, line, (), f"is not YAML ({error.problem})", "correct the syntax at that line") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        rule = f"the character U+{ord(text[error.position]):04X} is not text"
        raise _refusal(file, line, (), rule, "remove it") from error
    except RecursionError as error:
        raise _refusal(file, None, (), "is nested too deeply to be read", "write it flatter") from error


class _Reader:
    """Turns nodes into values, and notes where each one stood."""

    def __init__(self, file: str, loader: yaml.SafeLoader) -> None:
        self.lines: dict[KeyPath, int] = {(): 1}
        self._file = file
        self._loader = loader
        self._seen: set[int] = set()

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        """The plain value of a node."""
        if id(node) in self._seen:
            raise self._at(node, path, "an alias (`*name`) hides what a reviewer should see", "write the value out")
        self._seen.add(id(node))
        if isinstance(node, yaml.CollectionNode) and node.tag not in _PLAIN_COLLECTIONS:
            raise self._at(node, path, f"the tag {node.tag} is not plain data", "remove the tag")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return self._sequence(node, path)
        try:
            return self._loader.construct_object(node)
        except yaml.constructor.ConstructorError as error:
            raise self._at(node, path, f"the tag {node.tag} is not plain data", "remove the tag") from error
        except ValueError as error:
            raise self._at(node, path, f"{node.value!r} is no such date or number ({error})", "correct it") from error

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag != _TEXT:
                raise self._at(key_node, path, "a key is text", "put the key in quotes, and write out what `<<` merges")
            key = str(key_node.value)
            here = (*path, key)
            if key in values:
                rule = f"this key stands in line {self.lines[here]} already, and only one of them can count"
                raise self._at(key_node, here, rule, "remove one of the two")
            self.lines[here] = key_node.start_mark.line + 1
            values[key] = self.value(value_node, here)
        return values

    def _sequence(self, node: yaml.SequenceNode, path: KeyPath) -> list[Any]:
        values = []
        for index, item in enumerate(node.value):
            here = (*path, index)
            self.lines[here] = item.start_mark.line + 1
            values.append(self.value(item, here))
        return values

    def _at(self, node: yaml.Node, path: KeyPath, rule: str, way_out: str) -> StackError:
        return _refusal(self._file, node.start_mark.line + 1, path, rule, way_out)


def _refusal(file: str, line: int | None, path: KeyPath, rule: str, way_out: str) -> StackError:
    shown = path[1:] if path[:1] == ("config",) and len(path) > 1 else path
    return StackError([Problem(file=file, line=line, key=spell(shown), rule=rule, way_out=way_out)])
