"""Operations without a command written by hand. Written by `python -m extensions.generate`."""

OPERATIONS: dict[str, str] = {
    "jobs.cancel": "Stop a job.",
}
