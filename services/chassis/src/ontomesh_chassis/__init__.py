"""The chassis of Ontomesh services: settings, identity, telemetry, health and servers."""
