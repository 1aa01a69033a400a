"""What a client is told, in OpenAI's shape: a status, a stable code, and a sentence with the remedy.

e5_onnx.E5Error
└── RequestError                               a request that is not served
    ├── MalformedError       (ValueError)       400, not JSON, or not the schema
    ├── FramingError         (ValueError)       400, two readers could see its end in two places
    ├── BadInputError        (ValueError)       422, a text, role, task or option that cannot be right
    ├── TooLongError         (ValueError)       422, a text longer than the model takes
    ├── KeyRefusedError      (PermissionError)  401
    ├── TooManyKeysError     (PermissionError)  429, an address that sends one wrong key after another
    ├── HostRefusedError     (PermissionError)  403, a Host header that was not allowed: DNS rebinding
    ├── NotOfferedError      (PermissionError)  403, switched off on this address
    ├── UnknownPathError     (LookupError)      404
    ├── UnknownModelError    (LookupError)      404
    ├── MethodError          (LookupError)      405
    ├── SlowBodyError        (TimeoutError)     408
    ├── TooLargeError        (ValueError)       413, body, items or tokens beyond the limits
    ├── UnsupportedBodyError (ValueError)       415, compressed, or not UTF-8
    ├── OverloadError        (RuntimeError)     429, the queue is full
    ├── ClientGoneError      (ConnectionError)  499, which nobody is there to read
    ├── InternalError        (RuntimeError)     500, onnxruntime failed
    ├── StoppingError        (RuntimeError)     503
    ├── BusyError            (RuntimeError)     503, every connection is at work
    ├── MemoryLimitError     (MemoryError)      503
    ├── QueueFullError       (MemoryError)      503, bodies and answers of all requests hold too much
    └── DeadlineError        (TimeoutError)     504
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from e5_onnx.errors import E5Error


class RequestError(E5Error):
    """Something that a client is told.

    Attributes:
        status: The HTTP status code.
        code: For programs; it does not change.
        kind: OpenAI's `type`.
        retry_after: Seconds after which it may be tried again, or None.
        param: The field that is meant, or None.
    """

    status: ClassVar[int] = 400
    code: ClassVar[str] = "bad_request"
    kind: ClassVar[str] = "invalid_request_error"
    retry_after: ClassVar[int | None] = None

    def __init__(self, message: str, *, param: str | None = None) -> None:
        self.message, self.param = message, param
        super().__init__(message)

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the response."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


class MalformedError(RequestError, ValueError):
    code = "malformed_request"


class FramingError(RequestError, ValueError):
    code = "malformed_request"

    def __init__(self) -> None:
        super().__init__("it has both a Content-Length and a Transfer-Encoding: send one of them")

    @property
    def headers(self) -> dict[str, str]:
        """RFC 9112 wants the connection closed: the next bytes may be the request of another client."""
        return {"Connection": "close"}


class BadInputError(RequestError, ValueError):
    status, code = 422, "invalid_input"


class TooLongError(RequestError, ValueError):
    status, code = 422, "text_too_long"


class KeyRefusedError(RequestError, PermissionError):
    status, code, kind = 401, "invalid_api_key", "authentication_error"

    def __init__(self) -> None:
        super().__init__("no valid key: send `Authorization: Bearer KEY`")

    @property
    def headers(self) -> dict[str, str]:
        """RFC 9110 wants the scheme with a 401."""
        return {"WWW-Authenticate": "Bearer"}


class TooManyKeysError(RequestError, PermissionError):
    status, code, kind, retry_after = 429, "too_many_wrong_keys", "authentication_error", 10

    def __init__(self) -> None:
        super().__init__("no valid key, and too many like this one: send `Authorization: Bearer KEY`")


class HostRefusedError(RequestError, PermissionError):
    status, code, kind = 403, "host_not_allowed", "permission_error"

    def __init__(self) -> None:
        super().__init__("this Host header is not allowed: the operator can name it with `allow_host`")


class NotOfferedError(RequestError, PermissionError):
    status, code, kind = 403, "not_offered", "permission_error"


class UnknownPathError(RequestError, LookupError):
    status, code = 404, "not_found"

    def __init__(self, hint: str) -> None:
        self.hint = hint
        super().__init__(f"there is nothing at this path: {hint}")


class UnknownModelError(RequestError, LookupError):
    status, code = 404, "model_not_found"

    def __init__(self, names: list[str]) -> None:
        self.names = names
        super().__init__(f"there is no such model here: choose one of {', '.join(names)}", param="model")


class MethodError(RequestError, LookupError):
    status, code = 405, "method_not_allowed"

    def __init__(self, allowed: Sequence[str]) -> None:
        self.allowed = tuple(allowed)
        super().__init__(f"this path takes another method: {' or '.join(allowed)}")

    @property
    def headers(self) -> dict[str, str]:
        """RFC 9110 wants the methods with a 405."""
        return {"Allow": ", ".join(self.allowed)}


class SlowBodyError(RequestError, TimeoutError):
    status, code = 408, "body_timeout"

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(f"the body was not complete within {seconds:g} s")


class TooLargeError(RequestError, ValueError):
    status, code = 413, "request_too_large"

    def __init__(self, what: str, found: int | None, limit: int) -> None:
        self.what, self.found, self.limit = what, found, limit
        has = "more" if found is None else str(found)
        super().__init__(f"a request may have {limit} {what}, this one has {has}: send it in parts")


class UnsupportedBodyError(RequestError, ValueError):
    status, code = 415, "unsupported_body"

    def __init__(self, what: str, remedy: str) -> None:
        self.what = what
        super().__init__(f"the body is {what}: {remedy}")


class OverloadError(RequestError, RuntimeError):
    status, code, kind, retry_after = 429, "overloaded", "rate_limit_error", 1

    def __init__(self, waiting: int, limit: int) -> None:
        self.waiting, self.limit = waiting, limit
        super().__init__(f"{waiting} tokens are waiting and {limit} may: try again in a moment")


class ClientGoneError(RequestError, ConnectionError):
    status, code = 499, "client_gone"

    def __init__(self) -> None:
        super().__init__("the client closed the connection")

    # OSError's own __str__ would print only errno fields, which are not set here.
    __str__ = Exception.__str__


class InternalError(RequestError, RuntimeError):
    status, code, kind = 500, "internal_error", "server_error"

    def __init__(self) -> None:
        super().__init__("the model failed on this request; the server's log says why")


class StoppingError(RequestError, RuntimeError):
    status, code, kind, retry_after = 503, "shutting_down", "server_error", 5

    def __init__(self) -> None:
        super().__init__("this server is stopping: try another, or this one in a moment")


class BusyError(RequestError, RuntimeError):
    status, code, kind, retry_after = 503, "too_many_connections", "server_error", 1

    def __init__(self) -> None:
        super().__init__("every connection is at work: try again in a moment")

    @property
    def headers(self) -> dict[str, str]:
        """The connection is one too many, so it ends here."""
        return {"Retry-After": str(self.retry_after), "Connection": "close"}


class MemoryLimitError(RequestError, MemoryError):
    status, code, kind, retry_after = 503, "memory_limit", "server_error", 1

    def __init__(self, resident_mb: float, limit_mb: float) -> None:
        self.resident_mb, self.limit_mb = resident_mb, limit_mb
        super().__init__(
            f"the server holds {resident_mb:.0f} MB and may hold {limit_mb:.0f}: try again later"
        )


class QueueFullError(RequestError, MemoryError):
    status, code, kind, retry_after = 503, "queue_full", "server_error", 1

    def __init__(self, held: int, limit: int) -> None:
        self.held, self.limit = held, limit
        super().__init__(
            f"requests hold {held / 1e6:.0f} MB and may hold {limit / 1e6:.0f}: try again in a moment"
        )


class DeadlineError(RequestError, TimeoutError):
    status, code, kind = 504, "deadline_exceeded", "server_error"

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(f"not done within {seconds:g} s: send fewer texts, or try again when it is quieter")
