"""Every setting of the studio. Works with no environment at all; read here and nowhere else.

docs/settings.md explains each variable; a test keeps the two together.
"""

from __future__ import annotations

import os
import tempfile
import tomllib
from pathlib import Path
from urllib.parse import quote

import dj_database_url
from csp.constants import NONE, SELF
from django.contrib.messages import constants as message_levels
from django_htmx import __file__ as htmx_package

from studio import env
from web.kept_secret import kept_secret

BASE_DIR = Path(__file__).resolve().parent.parent
STUDIO_VERSION = tomllib.loads((BASE_DIR / "pyproject.toml").read_text())["project"]["version"]
DATA_DIR = Path(env.text("DATA_DIR", str(BASE_DIR / "data"))).resolve()
RUN_DIR = DATA_DIR / "run"
TEMPORARY_DIR = DATA_DIR / "tmp"
for folder in (DATA_DIR, RUN_DIR, TEMPORARY_DIR, DATA_DIR / "locks", DATA_DIR / "logs"):
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
tempfile.tempdir = str(TEMPORARY_DIR)

# --- Web ------------------------------------------------------------------------------------
DEBUG = env.flag("STUDIO_DEBUG")
STUDIO_PORT = env.number("STUDIO_PORT", 8000, minimum=1)
STUDIO_BIND = env.text("STUDIO_BIND", "127.0.0.1")
STUDIO_HOSTS = env.words("STUDIO_HOSTS")
STUDIO_TRUST_PROXY = env.flag("STUDIO_TRUST_PROXY")
SECRET_KEY = env.text("SECRET_KEY") or kept_secret(RUN_DIR / "secret_key")
SETUP_TOKEN_FILE = RUN_DIR / "setup_token"

ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]", *STUDIO_HOSTS]
if STUDIO_BIND not in {"0.0.0.0", "::", "::1"}:
    ALLOWED_HOSTS.append(STUDIO_BIND)
CSRF_TRUSTED_ORIGINS = [f"https://{host}" for host in STUDIO_HOSTS]
if STUDIO_TRUST_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    USE_X_FORWARDED_HOST = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
# Studios on other ports of one machine share cookies by host name; the names keep them apart.
SESSION_COOKIE_NAME = f"studio_session_{STUDIO_PORT}"
CSRF_COOKIE_NAME = f"studio_csrf_{STUDIO_PORT}"
SECURE_REFERRER_POLICY = "same-origin"

CSRF_FAILURE_VIEW = "web.errors.csrf_failure"
ROOT_URLCONF = "studio.urls"
ASGI_APPLICATION = "studio.asgi.application"
INSTALLED_APPS = [
    "studio.apps.StudioConfig",
    "accounts",
    "web",
    "work",
    "datasets",
    "library",
    "jobs",
    "playground",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_htmx",
    "allauth",
    "allauth.account",
    "channels",
    "csp",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            "builtins": ["web.templatetags.format", "web.templatetags.icons"],
        },
    }
]
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF, "'unsafe-inline'"],
        "img-src": [SELF, "data:", "blob:"],
        "worker-src": [SELF, "blob:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "form-action": [SELF],
    }
}

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static", Path(htmx_package).parent / "static"]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "studio.finders.PlotlyFinder",
]
SERVESTATIC_USE_FINDERS = True
SERVESTATIC_MAX_AGE = 60

# The page's own words for how a message is meant.
MESSAGE_TAGS = {message_levels.SUCCESS: "good", message_levels.ERROR: "bad"}

# --- Accounts -------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
    )
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
ACCOUNT_ADAPTER = "accounts.adapter.ClosedSignUp"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_SESSION_REMEMBER = True

# --- Data -----------------------------------------------------------------------------------
DATABASES = {
    "default": dj_database_url.parse(
        env.text("DATABASE_URL", f"sqlite:///{DATA_DIR / 'studio.sqlite3'}")
    )
}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # Django's default (deferred) transactions fail with "database is locked" as soon as two
    # processes write; IMMEDIATE ones wait for each other.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
    # Tests use several threads and processes, which an in-memory database does not serve.
    DATABASES["default"]["TEST"] = {"NAME": str(RUN_DIR / "test.sqlite3")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

UPLOAD_LIMIT_BYTES = env.number("STUDIO_UPLOAD_LIMIT_MB", 100, minimum=1) * 1_000_000
REQUEST_LIMIT_BYTES = 25_000_000
DATA_UPLOAD_MAX_MEMORY_SIZE = REQUEST_LIMIT_BYTES
FILE_UPLOAD_TEMP_DIR = TEMPORARY_DIR
FILE_UPLOAD_PERMISSIONS = 0o600
MINIMUM_EXAMPLES = env.number("STUDIO_MINIMUM_EXAMPLES", 20, minimum=1)
RECOMMENDED_EXAMPLES = 100
PROMPT_LIMIT_CHARACTERS = env.number("STUDIO_PROMPT_LIMIT", 40_000, minimum=1)
ANSWER_LIMIT_CHARACTERS = env.number("STUDIO_ANSWER_LIMIT", 5_000, minimum=1)
FREE_DISK_MINIMUM_BYTES = 1_000_000_000

# --- Work -----------------------------------------------------------------------------------
EMBEDDED_BROKER = not env.text("REDIS_URL")
BROKER_SOCKET = RUN_DIR / "valkey.sock"
BROKER_PASSWORD_FILE = RUN_DIR / "valkey_password"
if EMBEDDED_BROKER:
    _password = quote(kept_secret(BROKER_PASSWORD_FILE), safe="")
    REDIS_URL = f"unix://:{_password}@{BROKER_SOCKET}?db=0"
    CELERY_BROKER_URL = f"redis+socket://:{_password}@{BROKER_SOCKET}?virtual_host=0"
else:
    REDIS_URL = CELERY_BROKER_URL = env.text("REDIS_URL")

CHANNEL_LAYERS = {
    "default": {
        # The queue-based layer drops idle sockets and runs out of connections at 200.
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL]},
    }
}

# A message only wakes a worker up; the row in the database is the truth. See work/.
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = False
CELERY_TASK_DEFAULT_QUEUE = "cpu"
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_DISABLE_PREFETCH = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 60}
CELERY_BEAT_SCHEDULE = {
    "keep work moving": {
        "task": "work.tasks.tick",
        "schedule": 5.0,
        "options": {"queue": "control", "expires": 5},
    }
}
LEASE_SECONDS = env.number("STUDIO_LEASE_SECONDS", 30, minimum=3)
HEARTBEAT_SECONDS = LEASE_SECONDS / 6

# --- Models ---------------------------------------------------------------------------------
DEFAULT_BASE_MODEL = env.text("STUDIO_DEFAULT_BASE_MODEL", "smollm2-135m-instruct")
SERVING_URL = env.text("SERVING_URL", f"unix://{RUN_DIR / 'serving.sock'}")
SERVING_SECRET_FILE = RUN_DIR / "serving.secret"
SERVING_MEMORY_BYTES = env.number("STUDIO_SERVING_MEMORY_MB", 4000, minimum=100) * 1_000_000

# --- Language, time, logs -------------------------------------------------------------------
LANGUAGE_CODE = "en"
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stream": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["stream"], "level": "INFO"},
}
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
