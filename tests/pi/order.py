"""All cases, in the order in which they run: the most valuable first."""

from tests.pi.case import KNOWN
from tests.pi.cases import household, images, machine, operating, power

ORDER = (
    *("covers", "uploads", "hostile", "full", "restarts", "no_memory_group", "backup", "clock", "read_only", "commands", "cuts"),
    *("demo", "update", "no_inodes", "sandbox", "nginx", "cuts_at_work", "household", "many_covers"),
)
assert set(ORDER) == set(KNOWN), (household, images, machine, operating, power)
CASES = {name: KNOWN[name] for name in ORDER}
