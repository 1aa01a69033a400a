"""Which role a request's texts have: by field, by the model's name, by the operator's choice, or refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from e5_onnx.errors import OptionError
from e5_onnx.recipes import Recipe, Role
from e5_onnx.serve.errors import BadInputError, UnknownModelError
from e5_onnx.serve.settings import Settings

_BY_SUFFIX: Final[dict[str, Role]] = {"query": "query", "document": "document"}


@dataclass(frozen=True, slots=True)
class RoleChoice:
    """How this server understands requests.

    Attributes:
        settings: Of the server.
        recipe: Of the model.
    """

    settings: Settings
    recipe: Recipe

    def by_model(self, model: str, input_type: Role | None) -> Role:
        """The role of a request that names a model.

        Raises:
            UnknownModelError: If it is not this one.
            BadInputError: If name and field contradict each other, or neither says anything.
        """
        if model not in self.settings.model_names:
            raise UnknownModelError(self.settings.model_names)
        _, _, suffix = model.partition(":")
        if suffix and input_type is not None and suffix != input_type:
            raise BadInputError(
                f"the model's name says {suffix} and input_type {input_type}", param="input_type"
            )
        return self.or_default(input_type or _BY_SUFFIX.get(suffix), field="input_type")

    def or_default(self, named: Role | None, *, field: str) -> Role:
        """The role that was named, or the one for requests that name none.

        Raises:
            BadInputError: If none was named and there is no default.
        """
        try:
            return self.recipe.choose_role(named or self.settings.default_role)
        except OptionError as error:
            name = self.settings.name
            raise BadInputError(
                "this model writes queries and documents differently: say which these texts are with "
                f'"{field}": "query" or "document", or by the model name "{name}:query" or '
                f'"{name}:document"; the operator can choose one for such requests with --default-role',
                param=field,
            ) from error
