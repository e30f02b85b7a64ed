from django.contrib import admin

from .models import Upload


@admin.register(Upload)
class UploadAdmin(admin.ModelAdmin):
    list_display = ["title", "image", "attachment", "owner", "created"]

    def save_model(self, request, obj, form, change):
        """Make the user who uploads something its owner."""
        if not change:
            obj.owner = request.user
        super().save_model(request, obj, form, change)
