"""Asking validators of every kind."""

from ontomesh_data_kernel.adapters.validators.checks import ValidatorChecks
from ontomesh_data_kernel.adapters.validators.metrics import ValidatorMetrics

__all__ = ["ValidatorChecks", "ValidatorMetrics"]
