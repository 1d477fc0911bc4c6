"""Several URLs of one file: the next one is tried when one fails, and the checksum decides what two of them sent together."""

import hashlib

import pytest

from image_cache.errors import ChecksumMismatch, OriginNotFound
from image_cache.files.download.attempts import AttemptTable
from tests.files.conftest import MB, Make, noise
from tests.support.origin import Origin
from tests.support.volumes import serve

BODY = noise(2 * MB)
SHA256 = hashlib.sha256(BODY).hexdigest()


def test_the_next_mirror_is_tried_when_one_does_not_have_the_file(origin: Origin, make: Make) -> None:
    store = make()
    mirror, volume = serve(origin, "/mirror.bin", BODY)
    assert store.get(origin.url("/gone.bin"), sha256=SHA256, mirrors=(mirror,)).read_bytes() == BODY
    assert len(volume.asked) == 1
    assert store.index.find(store.remote(origin.url("/gone.bin")).digest) is not None
    listed = AttemptTable(store.index, store.remote(origin.url("/gone.bin")).digest).listed()
    assert [(one.source, one.result, one.received_bytes) for one in listed] == [
        (mirror, "", 2 * MB),
        (origin.url("/gone.bin"), "HTTP 404", 0),
    ]


def test_a_cut_download_resumes_at_the_next_mirror(origin: Origin, make: Make) -> None:
    store = make()
    first, one = serve(origin, "/first.bin", BODY, always_cut_at=700_000, etag='"one"')
    second, two = serve(origin, "/second.bin", BODY, etag='"two"')
    assert store.get(first, sha256=SHA256, mirrors=(second,)).read_bytes() == BODY
    assert (one.sent_bytes, two.sent_bytes) == (700_000, 2 * MB - 700_000)
    assert two.asked[0].headers["range"] == "bytes=700000-"
    assert "if-range" not in two.asked[0].headers


def test_a_mirror_with_another_content_is_left_out(origin: Origin, make: Make) -> None:
    store = make()
    wrong, _ = serve(origin, "/wrong.bin", noise(2 * MB, 2))
    right, _ = serve(origin, "/right.bin", BODY)
    assert store.get(wrong, sha256=SHA256, mirrors=(right,)).read_bytes() == BODY


def test_a_mix_of_two_contents_is_fetched_again_from_the_start(origin: Origin, make: Make) -> None:
    store = make()
    other, _ = serve(origin, "/other.bin", noise(2 * MB, 2), cuts=[600_000])
    right, volume = serve(origin, "/right.bin", BODY)
    assert store.get(other, sha256=SHA256, mirrors=(right,)).read_bytes() == BODY
    assert volume.sent_bytes == 2 * MB - 600_000 + 2 * MB


def test_without_a_checksum_no_mirror_is_asked(origin: Origin, make: Make) -> None:
    store = make()
    mirror, volume = serve(origin, "/mirror.bin", BODY)
    with pytest.raises(OriginNotFound):
        store.get(origin.url("/gone.bin"), mirrors=(mirror,))
    assert volume.asked == []


def test_the_last_failure_is_told_when_no_mirror_has_the_file(origin: Origin, make: Make) -> None:
    store = make()
    wrong, _ = serve(origin, "/wrong.bin", noise(1000, 2))
    with pytest.raises(ChecksumMismatch):
        store.get(origin.url("/gone.bin"), sha256=SHA256, mirrors=(wrong,))
    digest = store.remote(origin.url("/gone.bin")).digest
    assert [one.result for one in AttemptTable(store.index, digest).listed()] == ["checksum differs, discarded", "HTTP 404"]
