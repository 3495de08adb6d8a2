"""What the processes of the local stack are told: ports, generated secrets, environment variables."""

import json
import os
import secrets
import sys
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from liber_tasks.config import ROOT, Settings
from liber_tasks.local.postgres import Cluster

MARKER = "LIBER_STACK"  # every process of a stack carries it, so that leftovers of a killed one can be found
ROLES = ("liber", "liber_reader", "airflow", "mlflow")
DATABASES = {"liber": "liber", "airflow": "airflow", "mlflow": "mlflow"}  # name -> owner
SERVICES = ("postgres", "llm", "llm_2", "mlflow", "airflow", "dashboard")
LOOPBACK = "127.0.0.1"
EMBEDDED_MODEL = "smollm2-135m"  # default weights of the embedded LLM server
EMBEDDED_ITEM_TOKENS = 40  # of what it says about an item


@dataclass(frozen=True)
class Stack:
    """One local stack: a folder that holds everything it writes, and its settings."""

    var: Path
    settings: Settings

    @property
    def ports(self) -> dict[str, int]:
        """Port of each service, by the setting's suffix."""
        return {name: getattr(self.settings, f"port_{name}") for name in SERVICES}

    @property
    def urls(self) -> dict[str, str]:
        """HTTP address of each service that has one."""
        return {name: f"http://{LOOPBACK}:{port}" for name, port in self.ports.items() if name != "postgres"}

    @property
    def log(self) -> Path:
        """What all processes print."""
        return self.var / "log" / "stack.log"

    @property
    def is_up(self) -> Path:
        """There while the stack is up: then `infra/keep.sh` starts a process again that ends."""
        return self.var / "up"

    @cached_property
    def secrets(self) -> dict[str, str]:
        """Passwords and keys: generated once, readable by the owner only."""
        file = self.var / "secrets.json"
        if file.exists():
            return dict(json.loads(file.read_text()))
        made = {name: secrets.token_urlsafe(18) for name in ("postgres", *ROLES, "airflow_admin", "api", "jwt")}
        made["jwt"] = secrets.token_urlsafe(64)
        made["fernet"] = urlsafe_b64encode(secrets.token_bytes(32)).decode()
        self.var.mkdir(parents=True, exist_ok=True)
        write_private(file, json.dumps(made, indent=1))
        return made

    @cached_property
    def cluster(self) -> Cluster:
        """The embedded PostgreSQL."""
        return Cluster(self.var / "postgres", self.ports["postgres"], self.secrets["postgres"])

    def database_url(self, role: str, database: str | None = None) -> str:
        """URL of `database` (default: the role's own) for `role`."""
        return self.cluster.url(database or role, role, self.secrets[role])

    def liber_environment(self) -> dict[str, str]:
        """Settings that point every LIBER command at this stack; kept in `var/local.env`.

        What the user has set already (environment, `.env`) stays: a stack may use a database or LLM server elsewhere.
        """
        given = self.settings
        return {
            "LIBER_DATABASE_URL": _given(given.database_url) or self.database_url("liber"),
            "LIBER_READER_DATABASE_URL": _given(given.reader_database_url)
            or self.database_url("liber_reader", "liber"),
            "LIBER_LLM_URL": given.llm_url or f"{self.urls['llm']},{self.urls['llm_2']}",
            "LIBER_LLM_MODEL": self._model(),
            "LIBER_LLM_GUIDED": str(self._guided()),
            "LIBER_ITEM_MAX_TOKENS": str(self._item_max_tokens()),
            "MLFLOW_TRACKING_URI": given.mlflow_tracking_uri or self.urls["mlflow"],
        }

    def _model(self) -> str:
        """Name that goes into every call key: the user's, else that of the embedded server's weights."""
        given = self.settings
        if "llm_model" in given.model_fields_set or given.llm_url:
            return given.llm_model
        return given.local_gguf.stem if given.local_gguf else EMBEDDED_MODEL

    def _guided(self) -> bool:
        """Whether answers are held to a schema: the user's choice, else not with the embedded server's weights, which
        then answer with little more than a title."""
        if "llm_guided" in self.settings.model_fields_set:
            return self.settings.llm_guided
        return self._model() != EMBEDDED_MODEL

    def _item_max_tokens(self) -> int:
        """How long a text about an item may be: the user's choice, else a sentence of the embedded server's weights,
        which go round in loops when they are to say more."""
        if "item_max_tokens" in self.settings.model_fields_set or self._model() != EMBEDDED_MODEL:
            return self.settings.item_max_tokens
        return EMBEDDED_ITEM_TOKENS

    def environment(self) -> dict[str, str]:
        """Full environment of the stack's processes."""
        liber = self.liber_environment()
        home = self.var / "airflow"
        airflow_db = self.database_url("airflow").replace("postgresql://", "postgresql+psycopg2://")
        own = {"LIBER_CHECKPOINTS": str(self.var / "checkpoints")}  # its tasks share one disk
        base = own | {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        options = {f"LIBER_{name.upper()}": str(value) for name, value in self.settings.model_dump().items()
                   if name in self.settings.model_fields_set and f"LIBER_{name.upper()}" not in liber
                   and value is not None and name != "mlflow_tracking_uri"
                   and not hasattr(value, "get_secret_value")}  # fmt: skip
        return base | options | liber | {
            MARKER: str(self.var),
            "LIBER_VAR": str(self.var),
            "LIBER_PYTHON": sys.executable,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{base.get('PATH', '')}",
            "PYTHONPATH": f"{ROOT / 'infra' / 'airflow'}{os.pathsep}{ROOT}",
            "PYTHONUNBUFFERED": "1",
            "SPT_NOENV": "1",  # process titles must not overwrite the environment: `down` finds processes by it
            "OMP_NUM_THREADS": "2",
            "TOKENIZERS_PARALLELISM": "false",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "DO_NOT_TRACK": "1",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "NO_PROXY": ",".join(filter(None, (base.get("NO_PROXY"), LOOPBACK, "localhost"))),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "infra" / "airflow" / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "8",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__FERNET_KEY": self.secrets["fernet"],
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.urls['airflow']}/execution/",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": airflow_db,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": airflow_db.replace("+psycopg2", "+asyncpg").split("?")[0],
            "AIRFLOW__API__HOST": LOOPBACK,
            "AIRFLOW__API__PORT": str(self.ports["airflow"]),
            "AIRFLOW__API__BASE_URL": self.urls["airflow"],
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__SECRET_KEY": self.secrets["api"],
            "AIRFLOW__API__INSTANCE_NAME": "LIBER",
            "AIRFLOW__API_AUTH__JWT_SECRET": self.secrets["jwt"],
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
            "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
            "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "20",  # tasks that a killed scheduler had queued
            "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",
            "AIRFLOW__DAG_PROCESSOR__DAG_VERSION_INFLATION_CHECK_LEVEL": "error",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
            "AIRFLOW_CONN_LIBER_POSTGRES": liber["LIBER_DATABASE_URL"].replace("postgresql://", "postgres://"),
            "AIRFLOW_CONN_LIBER_MLFLOW": liber["MLFLOW_TRACKING_URI"],
            "LIBER_DASHBOARD_URL": self.urls["dashboard"],
        }  # fmt: skip

    def write(self) -> None:
        """Write what commands and Airflow read: `local.env` and the Airflow login."""
        home = self.var / "airflow"
        (self.var / "log").mkdir(parents=True, exist_ok=True)
        home.mkdir(parents=True, exist_ok=True)
        write_private(home / "passwords.json", json.dumps({"admin": self.secrets["airflow_admin"]}))
        lines = "".join(f"{name}={value}\n" for name, value in self.liber_environment().items())
        write_private(self.var / "local.env", lines)


def write_private(file: Path, content: str) -> None:
    """Write atomically, readable by the owner only."""
    partial = file.with_name(f"{file.name}.{os.getpid()}")
    partial.touch(mode=0o600)
    partial.write_text(content, encoding="utf-8")
    partial.replace(file)


def _given(secret: object) -> str | None:
    value = getattr(secret, "get_secret_value", None)
    return value() if value else None
