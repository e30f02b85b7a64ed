# mypy: ignore-errors
"""A row for each POST that was answered: one too many, or one too few, shows."""

from django.db import models


class Hit(models.Model):
    """One POST, by the name that its sender gave it; the same name twice is two rows."""

    name = models.CharField(max_length=40)

    def __str__(self) -> str:
        return self.name
