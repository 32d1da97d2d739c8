"""Request headers: Tornado's ``HTTPHeaders`` to those who use them, without its cost per header."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from tornado.httputil import HTTPHeaders


@lru_cache(1000)
def _canonical(name: str) -> str:
    return "-".join([word.capitalize() for word in name.split("-")])


class RequestHeaders(HTTPHeaders):
    """The headers of one request: look-ups ignore case, and are fastest with lower-case names.

    Tornado's class checks and spells every header anew. Here llhttp has checked them, and names are spelled
    ``Like-This`` when somebody looks at all of them. ``by_name`` is a plain dict with lower-case names, for
    those who look up much.
    """

    def __init__(self, values: dict[str, str], repeated: dict[str, list[str]]) -> None:
        # No super().__init__: it would build the two dicts this class does without.
        self.by_name = values  # lower-case name -> value; several values joined with a comma
        # Lower-case name -> its values, when it came more than once. Not ours alone: replaced, never changed.
        self._repeated = repeated

    def __getitem__(self, name: str) -> str:
        return self.by_name[name.lower()]

    def get(self, name: str, default: Any = None) -> Any:
        """The value, several joined with a comma; ``default`` when there is none."""
        value = self.by_name.get(name)
        return self.by_name.get(name.lower(), default) if value is None else value

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self.by_name

    def __len__(self) -> int:
        return len(self.by_name)

    def __iter__(self) -> Iterator[str]:
        return iter([_canonical(name) for name in self.by_name])

    def __setitem__(self, name: str, value: str) -> None:
        self.by_name[name.lower()] = value
        self._forget(name.lower())

    def __delitem__(self, name: str) -> None:
        del self.by_name[name.lower()]
        self._forget(name.lower())

    def _forget(self, key: str) -> None:
        if key in self._repeated:
            self._repeated = {other: values for other, values in self._repeated.items() if other != key}

    def add(self, name: str, value: str, *, _chars_are_bytes: bool = True) -> None:
        """Add a value beside those that ``name`` has."""
        values = [*self.get_list(name), value]
        self[name] = ",".join(values)
        if len(values) > 1:
            self._repeated = {**self._repeated, name.lower(): values}

    def get_list(self, name: str) -> list[str]:
        """Every value of ``name``, in order."""
        key = name.lower()
        if key in self._repeated:
            return list(self._repeated[key])
        return [self.by_name[key]] if key in self.by_name else []

    def get_all(self) -> Iterator[tuple[str, str]]:
        """Every header; the values of one name follow each other."""
        for key, value in self.by_name.items():
            name = _canonical(key)
            for each in self._repeated.get(key, (value,)):
                yield name, each
