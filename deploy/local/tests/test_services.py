"""What the stack tells of its services."""

from pathlib import Path

import pytest

from ontomesh_local.config import StackSettings
from ontomesh_local.services import services


@pytest.mark.parametrize(
    ("store", "place"),
    [
        ("", "/h/data/kernel.db"),
        ("sqlite:////var/k.db", "/var/k.db"),
        ("terminusdb://kernel:secret@db.example:6363/org?prefix=a-", "terminusdb://db.example:6363/org"),
    ],
)
def test_the_place_of_the_data_has_no_password(store: str, place: str) -> None:
    (kernel,) = services(StackSettings(home=Path("/h"), store=store))
    assert kernel.data == place
