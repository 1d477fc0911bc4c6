"""Checks of the database and of the nodes, for a catalogue in PostgreSQL. Imported only then."""

from typing import cast

from image_cache.cluster.nodes import SILENT_S, Node, NodeTable
from image_cache.db.postgres.database import PgDatabase
from image_cache.db.postgres.facts import server_facts
from image_cache.maintenance.health.check import Check
from image_cache.maintenance.readonly_vault import ReadonlyVault
from image_cache.units import counted, megabytes

APART_S = 5.0  # clocks
FEW_CONNECTIONS = 10
FORGOTTEN_S = 86400.0  # a node that is silent for longer was taken away
LARGEST = 3  # tables that are named


def database(vault: ReadonlyVault) -> Check:
    """Check the server: what it is, and whether it runs out of connections or its clock is wrong."""
    facts = server_facts(cast(PgDatabase, vault.catalog))
    tls = "with TLS" if facts.has_tls else "without TLS"
    largest = ", ".join(f"{name} {megabytes(size)}" for name, size in facts.sizes[:LARGEST])
    free = facts.max_connections - facts.connections
    said = (
        f"PostgreSQL {facts.version.split()[0]} {tls}, schema {facts.schema}, {megabytes(facts.size_bytes)} ({largest});"
        f" {free:,} of {counted(facts.max_connections, 'connection')} free."
    )
    if abs(facts.apart_s) > APART_S:
        advice = "Synchronise the clocks of all machines (chrony, NTP)."
        return Check("Database", "warning", f"{said} Its clock differs from this one by {abs(facts.apart_s):,.0f} s.", advice)
    if free < FEW_CONNECTIONS:
        return Check("Database", "warning", f"{said} Connections are running out.", "Raise max_connections, or run fewer nodes.")
    return Check("Database", "well", f"{said} Whether it is backed up with pg_dump cannot be told from here.")


def nodes(vault: ReadonlyVault, *, has_names: bool) -> Check:
    """Check that no node is missing. Names are for operators: `has_names` is False where visitors read the message."""
    known = [node for node in NodeTable(vault.catalog).all() if node.silent_s < FORGOTTEN_S]
    running = [node for node in known if node.silent_s < SILENT_S]
    silent = [node for node in known if node.silent_s >= SILENT_S]
    said = f"{counted(len(running), 'node')} running{_listed(running) if has_names else ''}."
    if not silent:
        return Check("Nodes", "well", said)
    names = ", ".join(f"{node.name} (silent for {node.silent_s:,.0f} s)" for node in silent)
    advice = f"Look at {names}: start it, or take it out of the load balancer. Its work is done by the others."
    return Check("Nodes", "warning", f"{said} {counted(len(silent), 'node')} not responding.", advice)


def _listed(running: list[Node]) -> str:
    return (
        f" ({', '.join(f'{node.name} {node.version}, seen {max(0, node.silent_s):,.0f} s ago' for node in running)})"
        if running
        else ""
    )
