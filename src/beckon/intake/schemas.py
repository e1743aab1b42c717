"""Schemas: whether an event's ``data`` is what its type promises. JSON Schema 2020-12, compiled once."""

from collections.abc import Mapping
from typing import Any

import jsonschema_rs

from beckon.core.errors import Misconfigured, Refused


class Schema:
    """One type's compiled schema; ``text`` is the document as it was given."""

    def __init__(self, type_: str, document: Mapping[str, Any]) -> None:
        self.type = type_
        self.document = document
        try:
            self._validator = jsonschema_rs.Draft202012Validator(
                # The value itself stays out of the sentence: it may be personal, and it may be long.
                dict(document),
                validate_formats=True,
                retriever=_no_retrieval,
                mask="the value",
            )
        except (ValueError, jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
            raise Misconfigured("schema.broken", f"the schema of {type_} is no JSON Schema: {error}") from error

    def check(self, data: Any) -> None:
        """Raise ``Refused`` naming the first field that is wrong, unless ``data`` fits."""
        if self._validator.is_valid(data):
            return
        for error in self._validator.iter_errors(data):
            path = ".".join(str(part) for part in ("data", *error.instance_path))
            if isinstance(error.kind, jsonschema_rs.ValidationErrorKind.Required):
                path = f"{path}.{error.kind.property}"
                raise Refused("event.data", f"{path}: it is missing", field=path)
            why = "it is missing" if data is None else error.message[:200]
            raise Refused("event.data", f"{path}: {why}", field=path)


def _no_retrieval(uri: str) -> Any:
    raise ValueError(f"schemas don't fetch other schemas ({uri})")
