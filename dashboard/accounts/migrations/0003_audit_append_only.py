"""The audit log is append-only in the database, too: it refuses to change or remove an entry, whoever asks.

Entries outlive the people they name, so the reference to a person is never set to null: deleting somebody would be a change.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

REFUSED = "the audit log is append-only"
PROTECT = {
    "sqlite": [
        f"""CREATE TRIGGER audit_no_update BEFORE UPDATE ON accounts_auditentry
            BEGIN SELECT RAISE(ABORT, '{REFUSED}'); END""",
        f"""CREATE TRIGGER audit_no_delete BEFORE DELETE ON accounts_auditentry
            BEGIN SELECT RAISE(ABORT, '{REFUSED}'); END""",
        # INSERT OR REPLACE removes the row that is in its way without firing the trigger above.
        f"""CREATE TRIGGER audit_no_replace BEFORE INSERT ON accounts_auditentry
            WHEN EXISTS (SELECT 1 FROM accounts_auditentry WHERE id = NEW.id)
            BEGIN SELECT RAISE(ABORT, '{REFUSED}'); END""",
    ],
    "postgresql": [
        f"""CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION '{REFUSED}' USING ERRCODE = 'insufficient_privilege'; END $$""",
        """CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON accounts_auditentry
            FOR EACH ROW EXECUTE FUNCTION audit_refuse()""",
        """CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON accounts_auditentry
            FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()""",
    ],
}
UNPROTECT = {
    "sqlite": [
        "DROP TRIGGER IF EXISTS audit_no_update",
        "DROP TRIGGER IF EXISTS audit_no_delete",
        "DROP TRIGGER IF EXISTS audit_no_replace",
    ],
    "postgresql": [
        "DROP TRIGGER IF EXISTS audit_no_change ON accounts_auditentry",
        "DROP TRIGGER IF EXISTS audit_no_truncate ON accounts_auditentry",
        "DROP FUNCTION IF EXISTS audit_refuse()",
    ],
}


def run(schema_editor, statements):
    for statement in statements[schema_editor.connection.vendor]:
        schema_editor.execute(statement)


def protect(apps, schema_editor):
    run(schema_editor, PROTECT)


def unprotect(apps, schema_editor):
    run(schema_editor, UNPROTECT)


def index(fields, name):
    return migrations.AddIndex(model_name="auditentry", index=models.Index(fields=fields, name=name))


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_rights"),
    ]

    operations = [
        migrations.AlterField(
            model_name="auditentry",
            name="actor",
            field=models.ForeignKey(
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AlterField(
            model_name="auditentry",
            name="at",
            field=models.DateTimeField(auto_now_add=True),
        ),
        migrations.AlterModelOptions(
            name="auditentry",
            options={"ordering": ["-at", "-id"]},
        ),
        index(["-at", "-id"], "audit_by_time"),
        index(["actor_name", "-at"], "audit_by_person"),
        index(["action", "-at"], "audit_by_action"),
        index(["object_key", "-at"], "audit_by_object"),
        index(["object_name", "-at"], "audit_by_object_name"),
        index(["host_name", "-at"], "audit_by_host"),
        index(["result", "-at"], "audit_by_result"),
        # Last: SQLite makes a table anew to alter it, and its triggers go with the old one.
        migrations.RunPython(protect, unprotect),
    ]
