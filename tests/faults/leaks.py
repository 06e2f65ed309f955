"""Secrets planted wherever a program has some: they are in no file that is written."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import tracker
from tests.faults.family import Family, Result, share_of
from tests.faults.processes import Place, forks
from tracker.maintenance.doctor import mend
from tracker.storage.location import locate

WORKS = "tests.faults.leaks"
SECRET = "HUSH"
OPTIONS = (
    "--password HUSH", "--password=HUSH", "--pass HUSH", "--pass=HUSH", "--db-pass HUSH", "--pw HUSH", "PASS=HUSH",
    "SSHPASS=HUSH", "DB_PASSWORD=HUSH", "--hf-token=HUSH", "--token HUSH", "TOKEN=HUSH", "--api-key HUSH",
    "--api_key=HUSH", "--wandb-key HUSH", "--license_key=HUSH", "--ssh-key HUSH", "--encryption-key=HUSH",
    "--secret HUSH", "--client-secret=HUSH", "--credential HUSH", "AccountKey=HUSH",
    "--connection-string=AccountKey=HUSH;x",
    "-u me:HUSH", "--user me:HUSH", "--user=me:HUSH", "--proxy-user me:HUSH", "--cookie HUSH", "--jwt HUSH",
    "--bearer HUSH", "--session-id HUSH", "--access-token=HUSH", "--auth HUSH",
)  # fmt: skip
ADDRESSES = (
    "https://user:HUSH@host/x", "https://HUSH@host/x", "postgresql+psycopg://me:HUSH@host:5432/db",
    "postgres://u:HUSH@HUSH@host/db", "postgresql://host/db?password=HUSH", "postgresql://u:a@HUSH@host/db?sslpassword=HUSH",
    "https://me@corp.com:HUSH@host/x", "https://host/x?token=HUSH&page=2", "https://host/x?X-Amz-Signature=HUSH",
    "s3://key:HUSH@bucket/x", "mysql://u:HUSH@h/d", "redis://:HUSH@host:6379/0", "mongodb+srv://u:HUSH@h/d",
)  # fmt: skip
TEXTS = (
    "password=HUSH next", '{"password": "HUSH with spaces"}', "DB_PASSWORD='HUSH; and more'", "SMTP_PASS: HUSH",
    "Authorization: Bearer HUSH", "authorization=Basic HUSH", "Authorization: Token HUSH",
    'Authorization: Digest username="HUSH", response="HUSH"', "Proxy-Authorization: Negotiate HUSH", "X-Api-Key: HUSH",
    "Cookie: session=HUSH", "myAccessToken: HUSH", "ghp_HUSHabcdefghijklmnopqrstuvwxyz",
    "-----BEGIN RSA PRIVATE KEY-----\nHUSH\n-----END RSA PRIVATE KEY-----",
)  # fmt: skip
SECRETS = (*OPTIONS, *ADDRESSES, *TEXTS)


def plant(secret: str) -> None:
    """Record a run of a program that has a secret in its command, variables, repository, facts, reasons and errors."""
    sys.argv = ["train.py", "--lr", "1", *(secret.split(" ") if secret in OPTIONS else [secret])]
    os.environ |= {"API_KEY": SECRET, "PGPASSWORD": SECRET, "MY_TOKEN": SECRET}
    subprocess.run(["git", "init", "-q"], check=True)
    address = secret if secret in ADDRESSES else f"https://{SECRET}@example.org/x"
    subprocess.run(["git", "remote", "add", "origin", address], check=True)
    run = tracker.start_run("fault", "run", system_metrics=False)
    run.capture(client={"password": SECRET, "nested": [{"api_key": [SECRET, 1]}], "said": secret})
    run.add_policy("EarlyStopping", config={"api_key": SECRET, "said": secret}).decide(
        "waited", epoch=0, reason=secret
    )
    with closing(sqlite3.connect(locate().path or "", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")  # so that the error waits in the spool
        with suppress(ConnectionError), run:
            raise ConnectionError(f"the server refused {secret}")
    for address in (secret, f"postgresql://me:{SECRET}@127.0.0.1:1/none"):
        with suppress(tracker.TrackerError, OSError, ValueError):
            tracker.start_run(database=address if "://" in address else None, resume=None).finish()


def repair() -> None:
    """Import what waits, and write a backup of it all."""
    mend(locate())


def planted_secrets(folder: Path, share: float, rng: random.Random) -> Result:
    """Each of 60 secrets, in each of those places; all files are searched, also what was logged."""
    result = Result()
    with forks(folder, WORKS) as starting:
        for number in range(share_of(len(SECRETS), share)):
            secret = SECRETS[number * 7 % len(SECRETS)]
            with Place(folder / str(number)) as place, result.trial(repr(secret)):
                answer = starting.start(place, f"{WORKS}:plant", given={"secret": secret})
                assert answer["code"] == 0, place.raised()
                result.count("files", check_files(place))
                assert starting.start(place, f"{WORKS}:repair")["code"] == 0, place.raised()
                result.count("files", check_files(place))
    return result


def check_files(place: Place) -> int:
    """No file has it, but for those of git; returns how many there are."""
    files = [
        path for path in place.folder.rglob("*") if path.is_file() and ".git" not in path.parts
    ]
    found = [path.name for path in files if SECRET.encode() in path.read_bytes()]
    assert found == [], f"it is in {', '.join(found)}"
    assert any(path.name == "tracker.db" for path in files)
    return len(files)


FAMILIES = [
    Family(
        "S6",
        "sixty secrets in commands, variables, addresses, facts, reasons and errors; all files are searched",
        "10",
        len(SECRETS),
        0.05,
        planted_secrets,
        minutes=0.7,
    )
]
