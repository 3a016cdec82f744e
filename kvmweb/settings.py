"""All Django settings, read from the environment through `kvmweb.env`."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from cryptography.fernet import Fernet
from csp.constants import NONCE, NONE, SELF
from django.utils.translation import gettext_lazy as _

from kvmweb import address, env, secrets

BASE_DIR = env.BASE_DIR
STATE_DIR = env.path("KVMWEB_STATE_DIR")
RUN_DIR = env.path("KVMWEB_RUN_DIR") if env.text("KVMWEB_RUN_DIR") else STATE_DIR / "run"
STATE_DIR.mkdir(parents=True, exist_ok=True, mode=0o700)
RUN_DIR.mkdir(parents=True, exist_ok=True, mode=0o700)

DEBUG = env.boolean("KVMWEB_DEBUG")
SECRET_KEY = env.text("KVMWEB_SECRET_KEY") or secrets.read_or_make(STATE_DIR / "secrets" / "django")
ENCRYPTION_KEYS = (
    env.text("KVMWEB_ENCRYPTION_KEYS")
    or secrets.read_or_make(STATE_DIR / "secrets" / "encryption", lambda: Fernet.generate_key().decode())
).split(",")
# Empty: made of the encryption keys. A process with the public key alone takes hosts' credentials in and reads none.
HOST_KEYS = [key.strip() for key in env.text("KVMWEB_HOST_KEYS").split(",") if key.strip()]
if not HOST_KEYS and (STATE_DIR / "secrets" / "hosts").exists():  # as a backup of a hardened installation brings them
    HOST_KEYS = secrets.read_or_make(STATE_DIR / "secrets" / "hosts").split(",")
HOST_PUBLIC_KEY = env.text("KVMWEB_HOST_PUBLIC_KEY")
HOST_FILES_DIR = env.path("KVMWEB_HOST_FILES_DIR") if env.text("KVMWEB_HOST_FILES_DIR") else STATE_DIR / "hosts"

LISTEN = env.text("KVMWEB_LISTEN")
PUBLIC_URL = address.public_url()
LOCAL_HOST = env.boolean("KVMWEB_LOCAL_HOST")
BULK_PER_HOST = max(1, env.integer("KVMWEB_BULK_PER_HOST"))
LIBVIRT_SOCKET = env.text("KVMWEB_LIBVIRT_SOCKET")

_public = urlsplit(PUBLIC_URL)
ALLOWED_HOSTS = [_public.hostname or "localhost"]
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
USE_X_FORWARDED_HOST = False
_https = _public.scheme == "https"
if _https:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 31_536_000

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "csp",
    "dashboard.accounts",
    "dashboard.inventory",
    "dashboard.jobs",
    "dashboard.upkeep",
    "dashboard.live",
    "dashboard.hosts",
    "dashboard.guests",
    "dashboard.storage",
    "dashboard.networks",
    "dashboard.consoles",
    "dashboard.api",
]

MIDDLEWARE = [
    # First those whose headers every answer bears, errors of the others too.
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "kvmweb.headers.own_pages_only",
    "csp.middleware.CSPMiddleware",
    "dashboard.api.door.Door",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "dashboard.live.nulls.NoNulls",
    "dashboard.live.context.LiveMark",
    "dashboard.api.door.Caller",
    "dashboard.accounts.middleware.SignInRequired",
    "dashboard.upkeep.readonly.ReadOnly",
    "django.contrib.messages.middleware.MessageMiddleware",
]

ROOT_URLCONF = "kvmweb.urls"
ASGI_APPLICATION = "kvmweb.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
                "dashboard.live.context.page",
                "dashboard.upkeep.readonly.banner",
            ],
        },
    }
]


def database_of(url: str) -> dict[str, Any]:
    """The database of a postgresql:// address, or for "" SQLite in WAL mode in the state folder."""
    if not url:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": STATE_DIR / "kvmweb.sqlite3",
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA mmap_size=134217728;",
            },
        }
    parts = urlsplit(url)
    if parts.scheme not in ("postgres", "postgresql"):
        raise env.SettingError("KVMWEB_DATABASE_URL: only postgresql:// addresses are understood")
    query = dict(parse_qsl(parts.query))  # as libpq reads it: host=/folder/of/a/socket, sslmode=verify-full, …
    return {
        "ENGINE": "kvmweb.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": query.pop("host", "") or unquote(parts.hostname or ""),
        "PORT": query.pop("port", "") or str(parts.port or ""),
        # Each request and each look of a long-lived thread borrows one for as long as it takes: two hundred hosts'
        # threads need a handful. One that the server has closed meanwhile is found out and replaced.
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "connect_timeout": 5,
            "application_name": f"kvmweb {os.getpid()}",
            "pool": {
                "min_size": 1,
                "max_size": max(2, env.integer("KVMWEB_DATABASE_CONNECTIONS")),
                "timeout": 10,
                # It tries ever more slowly for this long; whoever asks next has it begin anew.
                "reconnect_timeout": 8,
                "max_idle": 60,
            },
            **query,
        },
    }


DATABASES = {"default": database_of(env.text("KVMWEB_DATABASE_URL"))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.text("KVMWEB_REDIS_URL") or f"unix://{RUN_DIR}/redis.sock"
# What sign-in counts must neither need Redis nor be unpickled from it.
CACHES = {"default": {"BACKEND": "dashboard.accounts.counting.Counts"}}

CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_timeout": 5, "socket_connect_timeout": 2, "visibility_timeout": 3600}
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "actions"
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
ACCOUNT_ADAPTER = "dashboard.accounts.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_SESSION_REMEMBER = False
ACCOUNT_PREVENT_ENUMERATION = True
# All tries of an address; those codes of a second factor that were wrong. Passwords: `accounts.throttle`. Nobody is ever
# locked out for good.
ACCOUNT_RATE_LIMITS = {"login": "60/m/ip", "login_failed": "8/15m/key,50/d/key", "reauthenticate": "20/m/user"}
ACCOUNT_REAUTHENTICATION_TIMEOUT = 600
MFA_ADAPTER = "dashboard.accounts.mfa_adapter.MFAAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_TOLERANCE = 1
MFA_RECOVERY_CODE_COUNT = 10
MFA_RECOVERY_CODE_DIGITS = 10
MFA_RECOVERY_CODES_SHOW_ONCE = True
MFA_FORMS = {
    "authenticate": "dashboard.accounts.mfa_forms.SignInCodeForm",
    "reauthenticate": "dashboard.accounts.mfa_forms.ConfirmCodeForm",
    "activate_totp": "dashboard.accounts.mfa_forms.SetUpAppForm",
    "add_webauthn": "dashboard.accounts.mfa_forms.AddPasskeyForm",
    "edit_webauthn": "dashboard.accounts.mfa_forms.RenamePasskeyForm",
}
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "start:page"

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _https
SESSION_COOKIE_NAME = "__Host-kvmweb" if _https else "kvmweb"
CSRF_COOKIE_NAME = "__Host-kvmweb-csrf" if _https else "kvmweb-csrf"
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_IDLE_SECONDS = env.integer("KVMWEB_IDLE_MINUTES") * 60
KNOWN_BROWSER_COOKIE_NAME = "__Host-kvmweb-known" if _https else "kvmweb-known"
# "no-referrer" would make browsers send "Origin: null" with every form, which the CSRF check refuses.
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],
        "style-src": [SELF],
        "img-src": [SELF, "data:", "blob:"],
        "connect-src": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

KEEP_JOBS_DAYS = env.integer("KVMWEB_KEEP_JOBS_DAYS")

LANGUAGE_CODE = env.text("KVMWEB_LANGUAGE")
LANGUAGES = [("en", _("English")), ("zh-hans", _("Simplified Chinese"))]
LOCALE_PATHS = [BASE_DIR / "dashboard" / "locale"]
USE_I18N = USE_TZ = True
TIME_ZONE = env.text("KVMWEB_TIME_ZONE")

STATIC_URL = "/static/"
STATIC_ROOT = env.path("KVMWEB_STATIC_DIR") if env.text("KVMWEB_STATIC_DIR") else STATE_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env.text("KVMWEB_LOG_LEVEL")},
    # What people may not do or mistype is answered and audited; its traceback helps nobody.
    # Who asked for a connection says once that there is none; the pool would say so each time that it tries.
    "loggers": {"django.request": {"level": "ERROR"}, "psycopg.pool": {"level": "ERROR"}},
}
