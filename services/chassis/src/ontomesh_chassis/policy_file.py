"""The policy of a file, read again when the file changes."""

import logging
from pathlib import Path

from ontomesh_chassis import audit
from ontomesh_chassis.policy import Policy, PolicyError, parse_policy
from ontomesh_chassis.startup import ConfigError
from ontomesh_chassis.watched_file import WatchedFile

logger = logging.getLogger(__name__)


class PolicyFile:
    """The policy that holds now. An invalid new text is refused loudly and the old policy stays.

    Raises ConfigError at construction where the file cannot be read or understood.
    """

    def __init__(self, path: Path) -> None:
        self._file = WatchedFile(path)
        try:
            self._policy = self._read()
        except (OSError, UnicodeDecodeError, PolicyError) as fault:
            raise ConfigError(f"policy file {path}: {_words(fault)} (set by ONTOMESH_POLICY_FILE)") from fault

    def current(self) -> Policy:
        """The policy; looks for a changed file at most once a second."""
        if self._file.changed():
            self._reload()
        return self._policy

    def _reload(self) -> None:
        try:
            policy = self._read()
        except (OSError, UnicodeDecodeError, PolicyError) as fault:
            logger.error("the policy file %s was refused, the old policy stays: %s", self._file.path, _words(fault))
            audit.record(audit.Event.POLICY_REJECTED, reason=_words(fault))
            return
        if policy.digest != self._policy.digest:
            self._policy = policy
            audit.record(audit.Event.POLICY_CHANGED, digest=policy.digest)

    def _read(self) -> Policy:
        return parse_policy(self._file.read().decode())


def _words(fault: Exception) -> str:
    return (fault.strerror or str(fault)) if isinstance(fault, OSError) else str(fault)
