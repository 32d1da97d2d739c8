"""What an exchange has delivered so far: enough to bill it, however it ends."""

from oneapi.wire import Reply, Usage

_KEPT_CHARS = 1 << 20  # of one answer; beyond it the text is only measured


class Delivery:
    """What the client has been sent of one answer. Text is kept only to be counted if no usage comes."""

    __slots__ = ("_parts", "_size", "overflow_bytes", "passed", "reply", "usage")

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.overflow_bytes = 0  # text beyond what is kept
        self.passed = False  # bytes that are no text went to the client
        self.reply: Reply | None = None  # the whole answer, when it was not streamed
        self._parts: list[str] = []
        self._size = 0

    def add(self, text: str) -> None:
        """Note produced text."""
        self._size += len(text)
        if self._size <= _KEPT_CHARS:
            self._parts.append(text)
        else:
            self.overflow_bytes += len(text.encode())

    @property
    def produced(self) -> bool:
        """Whether anything has been produced that is worth money."""
        return self._size > 0 or self.passed or self.reply is not None

    def text(self) -> str:
        """The text that is kept."""
        return "".join(self._parts)
