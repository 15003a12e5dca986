"""Writes docs/settings.md: `python -m tests.settings_page > docs/settings.md`. A test keeps it current."""

from pydantic_settings import BaseSettings

from federation.settings import AgentSettings, ExtenderSettings
from lab.settings import LabSettings

INTRODUCTION = """# Settings

By environment variables. What cannot be used is refused at start, with the variable's name. The bridge's settings are
in [bridge.md](bridge.md).
"""
PROGRAMS: dict[str, type[BaseSettings]] = {
    "isthmus agent": AgentSettings,
    "isthmus extender": ExtenderSettings,
    "isthmus lab": LabSettings,
}


def page() -> str:
    """Return the page."""
    parts = [INTRODUCTION]
    for program, settings in PROGRAMS.items():
        prefix = settings.model_config.get("env_prefix", "")
        parts.append(f"## {program}\n\n| variable | default | meaning |\n|---|---|---|")
        for name, field in settings.model_fields.items():
            default = "" if field.default is None else str(getattr(field.default, "value", field.default))
            bounds = "; ".join(str(bound) for bound in field.metadata if type(bound).__name__ in ("Ge", "Gt", "Le"))
            meaning = " ".join((field.description or "").split()).replace("|", "\\|")
            shown = f"`{default}`" if default else ""
            parts.append(
                f"| `{prefix}{name.upper()}` | {shown} | {meaning}{f' ({_bounds(bounds)})' if bounds else ''} |"
            )
        parts.append("")
    return "\n".join(parts)


def _bounds(text: str) -> str:
    for word, sign in (("Ge(ge=", "at least "), ("Gt(gt=", "more than "), ("Le(le=", "at most ")):
        text = text.replace(word, sign)
    return text.replace(")", "").replace("; ", ", ")


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201  # this is what it is for
