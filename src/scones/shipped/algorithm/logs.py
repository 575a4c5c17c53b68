"""Log lines as the built-in algorithm prints them, on standard output, one at a time."""

import logging
import sys

TAB = "#011"  # how the built-in's log shows a tab character

log = logging.getLogger("algorithm")


def start() -> None:
    """Send this package's records to standard output; flushed after every line."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        logging.Formatter("[%(asctime)s %(levelname)s %(thread)d] %(message)s", "%m/%d/%Y %H:%M:%S")
    )
    log.handlers = [handler]
    log.setLevel(logging.INFO)
    log.propagate = False
