"""A data folder that cannot be used: what the start says about it."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_cache.bootstrap import ensure_directories
from image_cache.config import load_settings
from image_cache.errors import StorageError

OTHER = 10001  # the user of the container image


@pytest.fixture
def as_other_user() -> Iterator[Path]:
    """A folder of root, visited by another user: the folder of a NAS that was not given to the container."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    mask = os.umask(0o077)
    with tempfile.TemporaryDirectory() as folder:  # the folders of pytest are closed to others
        Path(folder).chmod(0o755)
        os.setegid(OTHER)
        os.seteuid(OTHER)
        try:
            yield Path(folder)
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.umask(mask)


def test_a_folder_of_another_user_is_answered_with_the_numbers_to_give_it_to(as_other_user: Path) -> None:
    with pytest.raises(StorageError, match=f"user {OTHER}:{OTHER} cannot write to this folder") as refused:
        ensure_directories(load_settings({"VINYL_VAULT_DATA_DIR": str(as_other_user)}))
    assert refused.value.hint == f"Give the data folder to that user: sudo chown -R {OTHER}:{OTHER} FOLDER."
