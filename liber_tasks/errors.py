"""Errors a user can act on: what is wrong, where, and what to do. The CLI prints them without a traceback."""


class LiberError(Exception):
    """The work could not be done; nothing was half-written and a re-run continues."""

    exit_code = 1


class InputError(LiberError):
    """Something the user gave (file, row, option, setting) is wrong."""

    exit_code = 2


class ServiceUnavailable(LiberError):
    """A service (database, LLM server, MLflow, Airflow) cannot be reached or refuses to work."""
