import os
import subprocess
import sys
from pathlib import Path

import pytest

from ontomesh_chassis.settings import LogLevel, ServiceSettings, load


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("ONTOMESH_", "OTEL_"))]:
        monkeypatch.delenv(name)


def test_every_setting_says_what_it_does() -> None:
    assert [name for name, field in ServiceSettings.model_fields.items() if not field.description] == []


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONTOMESH_GRPC_PORT", "50051")
    monkeypatch.setenv("ONTOMESH_LOG_LEVEL", "debug")
    monkeypatch.setenv("ONTOMESH_HOME", "~/elsewhere")
    monkeypatch.setenv("ONTOMESH_AUTH_ISSUER", "")
    monkeypatch.setenv("ONTOMESH_SOMETHING_ELSE", "1")
    settings = load(ServiceSettings)
    assert (settings.grpc_port, settings.log_level) == (50051, LogLevel.DEBUG)
    assert settings.home == Path.home() / "elsewhere"
    assert settings.keys_path == settings.home / "keys.json"
    assert settings.auth_issuer is None


def test_the_standard_variable_of_opentelemetry_is_honoured_after_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://standard:4317")
    assert load(ServiceSettings).otlp_endpoint == "http://standard:4317"
    monkeypatch.setenv("ONTOMESH_OTLP_ENDPOINT", "http://own:4317")
    assert load(ServiceSettings).otlp_endpoint == "http://own:4317"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ONTOMESH_GRPC_PORT", "65536"),
        ("ONTOMESH_HTTP_PORT", "http"),
        ("ONTOMESH_LOG_LEVEL", "loud"),
        ("ONTOMESH_LOG_FORMAT", "xml"),
        ("ONTOMESH_DRAIN_SECONDS", "-1"),
        ("ONTOMESH_TRACE_SAMPLE_RATIO", "2"),
        ("ONTOMESH_MAX_MESSAGE_BYTES", "0"),
        ("ONTOMESH_OTLP_ENDPOINT", "collector"),
    ],
)
def test_an_invalid_value_ends_the_process_with_the_name_of_its_variable(variable: str, value: str) -> None:
    program = "from ontomesh_chassis.settings import *; load(ServiceSettings)"
    ended = subprocess.run(
        [sys.executable, "-c", program], env={variable: value}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"error: {variable}: ")
    assert repr(value) in ended.stderr.lower()
    assert "Traceback" not in ended.stderr
