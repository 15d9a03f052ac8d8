"""The page of the service names every setting and every call."""

import re
from dataclasses import fields
from pathlib import Path

from serving.app import create_app
from serving.service import Service
from serving.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text()
NOT_FROM_THE_ENVIRONMENT = {"redis_url", "metrics_dir", "replicas"}


def test_every_setting_is_in_the_table():
    named = set(re.findall(r"`([A-Z_]+)`", PAGE))
    asked = {field.name for field in fields(Settings)} - NOT_FROM_THE_ENVIRONMENT
    assert {name.upper() for name in asked} <= named


def test_every_call_is_in_the_table(catalogue):
    app = create_app(Service(catalogue, Settings("redis://127.0.0.1:1/0", "x" * 32)))
    paths = {route.path for route in app.routes if getattr(route, "include_in_schema", False)}
    for path in paths:
        short = re.sub(r"\{(user|decision)_id(:path)?\}", "{id}", path)
        stems = [short, short.split("/{name}")[0].split(":")[0]]
        if short.startswith("/personalizer"):
            stems.append("/personalizer/v1.0/...")
        assert any(f"{stem}" in PAGE for stem in stems), path
