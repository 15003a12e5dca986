"""The forms in which a client may ask for objects: as they are, as a printed table, or their metadata only."""

from datetime import datetime

from lab.api_server.core.manifest import Manifest
from lab.api_server.kinds.columns import AGE, NAME
from lab.api_server.kinds.model import Column, Columns, Kind

CREATED = Column("Created At", lambda manifest, _now: manifest["metadata"].get("creationTimestamp"), type="date")


METADATA = "PartialObjectMetadata"
METADATA_LIST = "PartialObjectMetadataList"


def form_of(accept: str) -> str:
    """Return "Table", METADATA, METADATA_LIST or "" for the first form in an Accept header that we have."""
    for part in accept.split(","):
        media, *parameters = (piece.strip() for piece in part.split(";"))
        if media not in {"application/json", "*/*", "application/*"}:
            continue
        named = next((one.removeprefix("as=") for one in parameters if one.startswith("as=")), "")
        if named in {"Table", METADATA, METADATA_LIST}:
            return named
        return ""
    return ""


def partial(manifest: Manifest) -> Manifest:
    """Return the metadata of an object as an object of its own."""
    return {"kind": METADATA, "apiVersion": "meta.k8s.io/v1", "metadata": manifest["metadata"]}


def columns_of(kind: Kind) -> Columns:
    """Return all columns of a kind: its own between or instead of name and age."""
    if kind.is_custom:
        return (NAME, *kind.columns) if kind.columns else (NAME, AGE)
    return kind.columns or (NAME, CREATED)


def table(kind: Kind, manifests: list[Manifest], metadata: Manifest, now: datetime, include: str) -> Manifest:
    """Return a meta.k8s.io/v1 Table."""
    columns = columns_of(kind)
    rows = []
    for manifest in manifests:
        row: Manifest = {"cells": [column.cell(manifest, now) for column in columns]}
        if include == "Metadata":
            row["object"] = partial(manifest)
        elif include == "Object":
            row["object"] = manifest
        rows.append(row)
    definitions = [
        {
            "name": column.name,
            "type": column.type,
            "format": column.format,
            "description": column.description,
            "priority": column.priority,
        }
        for column in columns
    ]
    head = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
    return head | {"columnDefinitions": definitions, "rows": rows}
