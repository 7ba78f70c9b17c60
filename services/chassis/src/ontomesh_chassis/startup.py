"""Failures that end a service before it serves, each with its exit code."""

EXIT_CONFIG = 2
EXIT_PORT_TAKEN = 3


class StartupError(Exception):
    """Ends the process with one line on stderr and `exit_code`; never a traceback."""

    exit_code = EXIT_CONFIG


class ConfigError(StartupError):
    """A setting, key file or policy file that cannot be used; the message names it."""


class PortTakenError(StartupError):
    """An address that another process holds; the message names it and its setting."""

    exit_code = EXIT_PORT_TAKEN
