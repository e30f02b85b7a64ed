"""One model that uses every part of the stack: a row, a public image and a private file."""

from django.conf import settings
from django.core.files.storage import storages
from django.db import models


def private_storage():
    """Return the storage for files that nginx sends only when Django allows it."""
    return storages["private"]


class Upload(models.Model):
    """An upload: a title, an image and an attachment."""

    title = models.CharField(max_length=100)
    image = models.ImageField(
        upload_to="images/",
        help_text="Public: nginx serves it to anyone who has the address.",
    )
    attachment = models.FileField(
        upload_to="attachments/",
        storage=private_storage,
        blank=True,
        help_text="Private: only its owner and staff can fetch it.",
    )
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, editable=False)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created"]

    def __str__(self) -> str:
        return self.title
