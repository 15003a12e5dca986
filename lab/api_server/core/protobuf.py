"""Reading Kubernetes' protobuf, for the kinds that kubectl sends in it.

kubectl writes `create namespace`, `create token`, `drain` and the like in protobuf and takes JSON as the answer. The
tables in `protobuf_kinds` name the fields of just those kinds; a body with a kind or field that is not in them is
refused with 415 and the field's number, so that nothing is ever dropped silently. The server never writes protobuf.
"""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from lab.api_server.core.manifest import Manifest, timestamp
from lab.api_server.core.protobuf_kinds import MESSAGES, Field
from lab.api_server.core.status import ApiStatus, unsupported_media_type

MAGIC = b"k8s\x00"
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
Pairs = Iterator[tuple[int, int | bytes]]


def read(body: bytes) -> Manifest:
    """Return the object in a protobuf body."""
    if not body.startswith(MAGIC):
        raise unsupported_media_type("the body does not begin like Kubernetes protobuf")
    try:
        envelope = dict(_pairs(body[len(MAGIC) :]))
        meta = {number: _text(value) for number, value in _pairs(_bytes(envelope.get(1, b"")))}
        api_version, kind = meta.get(1, ""), meta.get(2, "")
        content = _message(kind, _bytes(envelope.get(2, b"")))
    except (IndexError, UnicodeDecodeError, TypeError) as error:
        raise ApiStatus(400, "BadRequest", f"the body is not valid protobuf: {error}") from error
    return {"apiVersion": api_version, "kind": kind, **content}


def _pairs(data: bytes) -> Pairs:
    """Yield field numbers and raw values."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, wire = tag >> 3, tag & 7
        if wire == VARINT:
            value, position = _varint(data, position)
            yield number, value
        elif wire == BYTES:
            length, position = _varint(data, position)
            if position + length > len(data):
                raise IndexError("a field is longer than the body")
            yield number, data[position : position + length]
            position += length
        elif wire in {FIXED32, FIXED64}:
            length = 4 if wire == FIXED32 else 8
            yield number, data[position : position + length]
            position += length
        else:
            raise IndexError(f"wire type {wire}")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise TypeError("a number where bytes are expected")
    return value


def _text(value: int | bytes) -> str:
    return _bytes(value).decode()


def _message(name: str, data: bytes) -> Manifest:
    """Return a message as JSON would show it: without members that are empty, unless they are pointers in Go."""
    fields = MESSAGES.get(name)
    if fields is None:
        raise unsupported_media_type(f"the lab's API server does not read {name or 'this'} in protobuf; send JSON")
    result: Manifest = {}
    for number, raw in _pairs(data):
        field = fields.get(number)
        if field is None:
            raise unsupported_media_type(
                f"the lab's API server does not read field {number} of {name} in protobuf; send JSON"
            )
        _add(result, field, raw)
    return result


def _add(result: Manifest, field: Field, raw: int | bytes) -> None:
    if field.type == "-":
        return
    if field.type.startswith("map "):
        key, value = _entry(_bytes(raw), field.type.removeprefix("map "))
        result.setdefault(field.name, {})[key] = value
        return
    value = _value(field.type, raw)
    if not field.name:
        result.update(value)
    elif field.is_repeated:
        result.setdefault(field.name, []).append(value)
    elif value not in ("", 0, False, None) or field.is_pointer:
        result[field.name] = value


def _micro_time(parts: dict[int, int | bytes]) -> str | None:
    """Return RFC 3339 with six digits, metav1.MicroTime's only form."""
    seconds, nanoseconds = parts.get(1, 0), parts.get(2, 0)
    if not seconds:
        return None
    return f"{datetime.fromtimestamp(int(seconds), UTC):%Y-%m-%dT%H:%M:%S}.{int(nanoseconds) // 1000:06}Z"


def _entry(data: bytes, kind: str) -> tuple[str, Any]:
    pairs = dict(_pairs(data))
    return _text(pairs.get(1, b"")), _value(kind, pairs.get(2, b""))


def _value(kind: str, raw: int | bytes) -> Any:  # noqa: PLR0911 - one return per type
    match kind:
        case "string":
            return _text(raw)
        case "int":
            assert isinstance(raw, int)
            return raw - (1 << 64) if raw >= 1 << 63 else raw
        case "bool":
            return bool(raw)
        case "bytes":
            return base64.b64encode(_bytes(raw)).decode()
        case "Time":
            seconds = dict(_pairs(_bytes(raw))).get(1, 0)
            return timestamp(datetime.fromtimestamp(int(seconds), UTC)) if seconds else None
        case "MicroTime":
            return _micro_time(dict(_pairs(_bytes(raw))))
        case "Quantity":
            return _text(dict(_pairs(_bytes(raw))).get(1, b""))
        case "IntOrString":
            parts = dict(_pairs(_bytes(raw)))
            return _text(parts.get(3, b"")) if parts.get(1) else parts.get(2, 0)
    return _message(kind, _bytes(raw))
