from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("work", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="workitem",
            name="save_requested",
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name="workitem",
            name="finish_requested",
            field=models.BooleanField(default=False),
        ),
    ]
