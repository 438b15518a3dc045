"""Commands behind the Makefile; the library does not need them."""
