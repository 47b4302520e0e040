"""The operator's files: `policies/` and `catalog/`, read strictly, put in force as a whole or not at all."""

from connector.files.publication import Published, check, load
from connector.files.watching import watch

__all__ = ["Published", "check", "load", "watch"]
