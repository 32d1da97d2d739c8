"""The whole program from outside: real clients, a real process, real sockets, a real database."""
