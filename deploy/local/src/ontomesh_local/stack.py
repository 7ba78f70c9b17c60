"""One run of the local stack, from an empty folder to the last service's end."""

import asyncio
import contextlib
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from ontomesh.sdk.errors import OntomeshError
from ontomesh_chassis.startup import EXIT_PORT_TAKEN
from ontomesh_local import tour
from ontomesh_local.child import NotReady
from ontomesh_local.config import StackSettings
from ontomesh_local.contents import contents
from ontomesh_local.home import Home, RunningService
from ontomesh_local.ports import unusable
from ontomesh_local.screen import Screen, ServiceReports
from ontomesh_local.services import Service, services
from ontomesh_local.steps import Tour
from ontomesh_local.supervisor import GaveUp, Running, Supervisor

EXIT_OK = 0
EXIT_FAILED = 1

_FOREIGN = ("ONTOMESH_ADDRESS", "ONTOMESH_TOKEN", "ONTOMESH_TOKEN_FILE", "ONTOMESH_BRANCH", "ONTOMESH_AUTHOR")
"""Settings of clients that would lead a tour's commands to another place."""


class Stack:
    """The local stack in one home folder. Use `up`, or `open` for a stack within a block."""

    def __init__(self, settings: StackSettings, environment: Mapping[str, str], screen: Screen) -> None:
        self.home = Home(settings.home)
        self._screen = screen
        self._services = services(settings)
        self._host = settings.host
        self._environment = dict(environment)
        self._stop_requests = 0
        self._stop = asyncio.Event()
        self._kill = asyncio.Event()
        self._supervisor = Supervisor(
            self._services,
            environment={"ONTOMESH_LOG_FORMAT": "human", **environment, "ONTOMESH_HOME": str(settings.home)},
            log_file=self.home.log,
            folder=settings.home,
            observer=_Recorder(self, screen),
        )
