import posixpath
from urllib.parse import quote

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from .models import Upload


@require_safe
def landing(request: HttpRequest) -> HttpResponse:
    """Show that the chain works: the request as Django sees it, and the latest uploads."""
    arrived = {
        "scheme": request.scheme,
        "host": request.get_host(),
        "port": request.get_port(),
        "client": request.META["REMOTE_ADDR"],
        "request id": request.headers.get("X-Request-ID"),
    }
    return render(
        request, "welcome/landing.html", {"arrived": arrived, "uploads": Upload.objects.all()[:6]}
    )


@require_safe
@login_required(login_url="admin:login")
def private_file(request: HttpRequest, name: str) -> HttpResponse:
    """
    Let nginx send a private file to its owner or to staff; 403 for anyone else.

    The answer is a header that names an internal address of nginx (nginx/site.conf):
    https://nginx.org/en/docs/http/ngx_http_uwsgi_module.html#uwsgi_ignore_headers
    """
    upload = get_object_or_404(Upload, attachment=name)
    if not (request.user.is_staff or request.user == upload.owner):
        raise PermissionDenied
    if not upload.attachment.storage.exists(name):
        raise Http404
    filename = posixpath.basename(name)
    return HttpResponse(
        headers={
            "X-Accel-Redirect": quote(f"/private/{name}"),
            "Content-Type": "application/octet-stream",
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(filename)}",
            "Cache-Control": "private, no-store",
        }
    )
