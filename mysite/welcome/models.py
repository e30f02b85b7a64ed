"""One model that needs every part of the stack: a row, a public image and a private file."""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.storage import storages
from django.db import models


def private_storage():
    """Return the storage for files that nginx sends only when Django says so."""
    return storages["private"]


def validate_upload_size(file) -> None:
    """
    Raise ``ValidationError`` for a file over the upload limit.

    nginx refuses a request over the limit before Django sees it; this says so for what comes
    another way (a script, the shell).
    """
    limit = settings.SITE["MAX_UPLOAD_MB"]
    if file.size > limit * 2**20:
        raise ValidationError(f"The file is larger than {limit} MB.")


class Upload(models.Model):
    """Something somebody uploaded."""

    title = models.CharField(max_length=100)
    image = models.ImageField(
        upload_to="images/",
        validators=[validate_upload_size],
        help_text="Public: nginx serves it to anyone who has the address.",
    )
    attachment = models.FileField(
        upload_to="attachments/",
        storage=private_storage,
        blank=True,
        validators=[validate_upload_size],
        help_text="Private: only its owner and staff can fetch it.",
    )
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, editable=False)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created"]

    def __str__(self) -> str:
        return self.title
