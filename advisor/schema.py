"""The tables of the store, as SQLAlchemy Core writes them; `SCHEMA_VERSION` counts their changes."""

from __future__ import annotations

import sqlalchemy as sa

SCHEMA_VERSION = 1

metadata = sa.MetaData()
meta = sa.Table("meta", metadata, sa.Column("key", sa.String, primary_key=True), sa.Column("value", sa.String))
runs = sa.Table(
    "runs",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("session", sa.Integer, index=True),
    sa.Column("trial", sa.Integer),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("updated", sa.Float, nullable=False),
    sa.Column("info", sa.Text, nullable=False),  # RunInfo as JSON
    sa.Column("problems", sa.Text, nullable=False, default="[]"),
    sa.Column("diagnosis", sa.Text),  # Diagnosis as JSON
)
axes = sa.Table(
    "axes",
    metadata,
    sa.Column("run", sa.Integer, primary_key=True),
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("labels", sa.Text, nullable=False),
)
samples = sa.Table(
    "samples",
    metadata,
    sa.Column("run", sa.Integer, nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("phase", sa.String, nullable=False),
    sa.Column("step", sa.BigInteger, nullable=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),  # float32, little-endian, one value an axis label
    sa.Index("samples_by_run", "run", "name"),
)
facts = sa.Table(
    "facts",
    metadata,
    sa.Column("run", sa.Integer, primary_key=True),
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("updated", sa.Float, nullable=False),
    sa.Column("document", sa.Text, nullable=False),  # Session as JSON
)
