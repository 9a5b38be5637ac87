"""One address that says, for monitors, whether each part of the studio answers."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse

from web import disk, live
from work.models import Worker


def database_answers() -> bool:
    """Whether the simplest query works."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return False
    return True


@login_not_required
def healthz(request: HttpRequest) -> JsonResponse:
    """200 when pages can be served, 503 when the database is away; parts say more."""
    database = database_answers()
    parts = {
        "database": database,
        "broker": live.broker_answers(),
        "tuning_worker": database and Worker.objects.alive("gpu").exists(),
        "helper_worker": database and Worker.objects.alive("cpu").exists(),
        "disk": disk.free_bytes(settings.DATA_DIR) > settings.FREE_DISK_MINIMUM_BYTES,
    }
    status = "ok" if all(parts.values()) else "degraded" if database else "down"
    return JsonResponse({"status": status, "parts": parts}, status=200 if database else 503)
