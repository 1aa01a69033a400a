"""What is wrong with what the caller passed."""

from __future__ import annotations

from collections.abc import Sequence

from e5_onnx.errors.root import E5Error


class InputError(E5Error):
    """Something is wrong with what the caller passed."""


class NotTextsError(InputError, TypeError):
    def __init__(self, found: type) -> None:
        self.found = found
        super().__init__(
            f"texts is {found.__name__}; it must be an iterable of str, such as a list, a generator, or one "
            "column of a table"
        )


class TextTypeError(InputError, TypeError):
    def __init__(self, index: int, found: type) -> None:
        self.index, self.found = index, found
        super().__init__(f"text {index} is {found.__name__}, not str: leave it out, or make a text of it")


class LoneSurrogateError(InputError, ValueError):
    def __init__(self, index: int, position: int) -> None:
        self.index, self.position = index, position
        super().__init__(
            f"text {index} has a lone surrogate at character {position}: it is not valid Unicode; "
            "read the file as UTF-8, or repair it with text.encode('utf-8', 'replace').decode()"
        )


class TextTooLongError(InputError, ValueError):
    def __init__(self, index: int, tokens: int, limit: int) -> None:
        self.index, self.tokens, self.limit = index, tokens, limit
        super().__init__(
            f"text {index} has {tokens} tokens, the model takes {limit}: split it, or choose "
            "overflow='truncate' or, for documents, overflow='window'"
        )


class TemplateTooLongError(InputError, ValueError):
    def __init__(self, tokens: int, limit: int) -> None:
        self.tokens, self.limit = tokens, limit
        super().__init__(
            f"the template and task alone take {tokens} of the model's {limit} tokens and leave no "
            "room for the text: shorten the task"
        )


class RoleMissingError(InputError, TypeError):
    def __init__(self, method: str) -> None:
        self.method = method
        super().__init__(
            f"{method} does not say what the texts are, and a query and a document have different vectors: "
            "call embed_queries, embed_documents, or encode with role='query', 'document' or 'raw'"
        )


class RoleError(InputError, ValueError):
    def __init__(self, role: object, choices: Sequence[str], reason: str = "unknown role") -> None:
        self.role, self.choices, self.reason = role, tuple(choices), reason
        super().__init__(f"{reason}: {role!r}; choose one of {', '.join(choices)}")


class TaskError(InputError, ValueError):
    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class OptionError(InputError, ValueError):
    def __init__(self, parameter: str, value: object, expected: str) -> None:
        self.parameter, self.value, self.expected = parameter, value, expected
        super().__init__(f"{parameter} is {value!r}; it must be {expected}")


class RecordError(InputError, ValueError):
    def __init__(self, source: str, line: int, reason: str) -> None:
        self.source, self.line, self.reason = source, line, reason
        super().__init__(f"{source}, line {line}: {reason}")
