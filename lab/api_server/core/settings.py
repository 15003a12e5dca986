"""The limits of the embedded API server."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Bounds that a test or a simulation may want to change; `ISTHMUS_LAB_API_...` in the environment."""

    model_config = SettingsConfigDict(env_prefix="ISTHMUS_LAB_API_", frozen=True)

    # Changes kept per resource. A client that is further behind gets 410 and lists again; upstream keeps a few minutes.
    log_length: int = Field(default=20_000, ge=1, le=1_000_000)
    # Unfinished paged lists kept. Each holds references only; the oldest expires first.
    continue_tokens: int = Field(default=64, ge=1, le=10_000)
    # Largest request body in bytes, upstream's limit.
    body_bytes_max: int = Field(default=3 * 1024 * 1024, ge=1024, le=64 * 1024 * 1024)
