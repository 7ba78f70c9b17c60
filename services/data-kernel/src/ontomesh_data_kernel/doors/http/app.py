"""The HTTP door."""

from fastapi import FastAPI

from ontomesh_chassis.health import Health
from ontomesh_chassis.http import create_app
from ontomesh_chassis.stages import Pipeline
from ontomesh_data_kernel.domain.kernel import Kernel


def create_http_app(kernel: Kernel, pipeline: Pipeline, health: Health) -> FastAPI:
    """The HTTP door over a kernel."""
    return create_app("Ontomesh data kernel", "0.1.0", pipeline=pipeline, health=health)
