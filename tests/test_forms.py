"""What the inventory's names, addresses, paths and URLs may be."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from provisioner import forms

CASES = yaml.safe_load((Path(__file__).parent / "data/forms.yaml").read_text())


def listed(which: str) -> list[tuple[str, str]]:
    return [(form, text) for form, texts in CASES.items() for text in texts[which]]


@pytest.mark.parametrize(("form", "text"), listed("accepted"))
def test_accepted(form: str, text: str) -> None:
    assert TypeAdapter(getattr(forms, form)).validate_python(str(text)) == str(text)


@pytest.mark.parametrize(("form", "text"), listed("refused"))
def test_refused(form: str, text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(getattr(forms, form)).validate_python(text)
