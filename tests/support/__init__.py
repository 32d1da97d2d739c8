"""What several test folders share: the running program, its stand-in upstream, a real model."""
