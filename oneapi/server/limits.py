"""How much of anything one client may ask of the server."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes and times, checked per connection. Times are coarse: up to a second longer for the defaults."""

    head_bytes: int = 64 << 10  # request line and headers
    header_count: int = 100
    target_bytes: int = 16 << 10
    body_bytes: int = 64 << 20  # as it arrives, before it is inflated
    read_ahead_bytes: int = 64 << 10  # of pipelined requests, while one is being answered
    high_water_bytes: int = 64 << 10  # unsent bytes above which the producer has to wait ...
    low_water_bytes: int = 16 << 10  # ... until so few are left
    header_s: float = 15  # from the first byte of a head (or the connection's start) to its end
    body_s: float = 60  # silence within a body
    keep_alive_s: float = 75
    write_s: float = 60  # a client that takes no byte of what waits for it
    linger_s: float = 2  # after an early answer: time for the client to read it before the socket goes
