"""Guests that kvmweb made before there were quotas count against whoever made them."""

from django.db import migrations

KIB, GIB = 1024, 1024**3


def owners_of_made_guests(apps, schema_editor):
    Job, Ownership = apps.get_model("jobs", "Job"), apps.get_model("jobs", "Ownership")
    Guest = apps.get_model("inventory", "Guest")
    there = {(host, str(uuid)) for host, uuid in Guest.objects.values_list("host_id", "uuid")}
    made = Job.objects.filter(operation="guest.create", state="succeeded", created_by__isnull=False, host__isnull=False)
    for job in made.order_by("created_at").iterator():
        uuid, params = job.result.get("uuid"), job.params
        if (job.host_id, uuid) not in there:
            continue
        disk = params.get("disk_gib", 0) if params.get("source") != "image" else 0
        sizes = {
            "vcpus": params.get("vcpus", 0),
            "memory_kib": params.get("memory_mib", 0) * KIB,
            "disk_bytes": disk * GIB,
        }
        whose = {"user_id": job.created_by_id, "job_id": job.pk, **sizes}
        Ownership.objects.get_or_create(host_id=job.host_id, uuid=uuid, defaults=whose)


class Migration(migrations.Migration):
    dependencies = [
        ("inventory", "0001_initial"),
        ("jobs", "0002_parents_tokens_owners"),
    ]

    operations = [migrations.RunPython(owners_of_made_guests, migrations.RunPython.noop)]
