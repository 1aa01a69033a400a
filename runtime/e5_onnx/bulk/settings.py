"""What the rows of an output depend on, and what its metadata say about them."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

from e5_onnx.bulk.chunks import output_columns
from e5_onnx.bulk.vectors import vector_fields
from e5_onnx.bulk_job import Job
from e5_onnx.model_folder.manifest import Manifest
from e5_onnx.recipes import Role
from e5_onnx.tokens.overflow import check_policy

METADATA_PREFIX: Final = "e5_onnx."


def settings_of(job: Job, manifest: Manifest) -> dict[str, Any]:
    """Settings that must match when a run is resumed: all that a row of its output depends on.

    Raises:
        OptionError: If a role is needed.
        RoleError, TaskError: If the model does not take this role or task.
    """
    recipe = manifest.recipe
    role = recipe.choose_role(job.role)
    recipe.template(role, job.task)
    check_policy(job.overflow, role)
    return {
        "fingerprint": manifest.fingerprint,
        "role": role,
        "task": _task(job, manifest, role),
        # Warning about cut texts does not change any vector.
        "overflow": "truncate" if job.overflow == "warn" else job.overflow,
        "text column": job.columns.text_column,
        "id column": job.columns.id_column,
        "kept columns": list(job.columns.keep),
        "delimiter": job.columns.delimiter,
        "vectors": job.vectors,
        "rows in a shard": job.shard_rows,
        "identity": job.identity,
    }


def output_schema(job: Job, manifest: Manifest, beside: pa.Schema) -> pa.Schema:
    """The columns of the output, with metadata that say where its vectors come from."""
    settings = settings_of(job, manifest)
    facts = {
        "model": manifest.source.name,
        "fingerprint": manifest.fingerprint,
        "precision": manifest.precision,
        "recipe": manifest.recipe.name,
        "role": settings["role"],
        "task": settings["task"] or "",
        "overflow": settings["overflow"],
        "dimension": str(manifest.dimension),
        "vectors": job.vectors,
        "id_column": job.columns.id_column or "",
    }
    fields = [*output_columns(beside), *vector_fields(job.vectors, manifest.dimension)]
    return pa.schema(fields, {METADATA_PREFIX + name: value for name, value in facts.items()})


def _task(job: Job, manifest: Manifest, role: Role) -> str | None:
    takes_task = role == "query" and manifest.recipe.takes_task
    return manifest.recipe.default_task if takes_task and job.task is None else job.task
