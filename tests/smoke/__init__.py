"""Whether a build is a program at all: fit for the executable, and for the source on a fresh machine."""
