"""Volume process: reads one volume and renders its slices, started by `volume.Previewer`.

nibabel reads the header; only the voxels of three planes are read. Of a compressed file at most 64 MB are decompressed; a larger one
shows its header and no slices.
"""

import contextlib
import io
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.freesurfer.mghformat import MGHHeader
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.orientations import aff2axcodes
from nibabel.spatialimages import HeaderDataError

from image_cache.errors import FileRejected
from image_cache.imaging import pillow
from image_cache.imaging.volume.decompress import MAX_DECOMPRESSED_BYTES, Decompressed, PlainFile, Source, decompressed
from image_cache.sandbox.channel import WorkerChannel
from image_cache.sandbox.limits import BASE_BYTES, ProcessLimits, confine, leave_network

HEAD_BYTES = 4096
MAX_DIM = 65_535
MAX_SAMPLES = 320  # along an edge; a slice has no more pixels
EDGE_PX = 320
MAX_STRETCH = 20.0
PLANES = {"R": "Sagittal", "L": "Sagittal", "A": "Coronal", "P": "Coronal", "S": "Axial", "I": "Axial"}
WORLD = {"L": 0, "R": 0, "P": 1, "A": 1, "I": 2, "S": 2}


class VolumeRejected(Exception):
    """The header can be read, but the slices cannot be shown."""


def main(
    *, file: int, socket_fd: int, name: str, at: list[int], parent: int, budget_bytes: int, cpu_s: int, wall_s: float
) -> NoReturn:
    """Handle one request and exit. Everything that is needed is imported before the limits are applied."""
    pillow.warm_up()
    leave_network()
    channel = WorkerChannel(socket.socket(fileno=socket_fd), max_body_bytes=0)
    loaded = _address_space()
    limits = ProcessLimits(loaded + budget_bytes - BASE_BYTES, 0.0, cpu_s, wall_s, 1)
    confine(limits, parent)
    signal.setitimer(signal.ITIMER_REAL, wall_s)
    try:
        head, blobs = read_volume(file, name, at)
    except FileRejected as error:
        head, blobs = {"expected": error.expected, "found": error.found}, []
    except MemoryError:
        head, blobs = {"failed": f"needs more than {budget_bytes >> 20} MB of memory, which is the limit"}, []
    channel.send(head, *blobs)
    sys.stdout = None  # so that nothing is flushed into a closed pipe
    os._exit(0)


def read_volume(file: int, name: str, at: Sequence[int] = ()) -> tuple[dict[str, Any], list[bytes]]:
    """Return the response and the slices `at` these numbers from 1, one for each plane; without them the middle ones.

    Raises `FileRejected` if it is not a volume, or broken."""
    is_compressed = name.lower().endswith((".gz", ".mgz"))
    start = decompressed(file, name, HEAD_BYTES, is_part=True) if is_compressed else os.pread(file, HEAD_BYTES, 0)
    kind, header = _header(name, start)
    volume = Volume(name, header)
    response: dict[str, Any] = {"facts": [("Format", kind), *volume.facts()], "slices": []}
    blobs: list[bytes] = []
    try:
        source = _compressed_source(file, name, volume) if is_compressed else _plain_source(file, name, volume)
        for title, index, count, size, body in volume.slices(source, at):
            response["slices"].append((title, index, count, *size, len(body)))
            blobs.append(body)
    except VolumeRejected as error:
        response["refusal"] = str(error)
    return response, blobs


class Volume:
    """The voxels according to a header: their position in the file, their type, their orientation in the world."""

    def __init__(self, name: str, header: Any) -> None:
        self._name = name
        self._header = header
        with _rejecting(name, "a valid header"):
            self.shape = tuple(int(count) for count in header.get_data_shape())
            self.dtype = header.get_data_dtype()
            self.offset = int(header.get_data_offset())
            self._zooms = [float(zoom) for zoom in header.get_zooms()]
            self._affine = np.asarray(header.get_best_affine(), dtype=float)
            slope = getattr(header, "get_slope_inter", lambda: (None, None))()[0]
        self._is_inverted = slope is not None and slope < 0
        if not self.shape or len(self.shape) > 8 or not all(1 <= count <= MAX_DIM for count in self.shape):
            raise FileRejected(name, f"1 to {MAX_DIM} voxels along each axis", " x ".join(map(str, self.shape)) or "none")
        self.total_bytes = self.dtype.itemsize
        for count in self.shape:
            self.total_bytes *= count
        # Axes of length 1 are ignored. Of a series the first volume is shown, which comes first in the file.
        axes = [axis for axis, count in enumerate(self.shape) if count > 1] or [0]
        self._axes = axes[:3]
        self.first_bytes = self.dtype.itemsize
        for axis in self._axes:
            self.first_bytes *= self.shape[axis]

    def facts(self) -> list[tuple[str, str]]:
        zooms = [zoom for zoom in self._zooms[:3] if np.isfinite(zoom)]
        text = bytes(self._header["descrip"].tobytes()) if "descrip" in self._header else b""
        described = text.split(b"\0")[0].decode("latin-1").strip()
        facts = [
            ("Voxels", " x ".join(map(str, self.shape))),
            ("Voxel size", " x ".join(f"{zoom:.3g}" for zoom in zooms) + " mm" if zooms else ""),
            ("Type", str(self.dtype.newbyteorder("="))),
            ("Orientation", "".join(self._codes()[:3])),
            ("Description", "".join(letter for letter in described if letter.isprintable())),
        ]
        return [(key, value) for key, value in facts if value]

    def slices(self, source: Source, at: Sequence[int] = ()) -> Iterator[tuple[str, int, int, tuple[int, int], bytes]]:
        """Yield (plane, number from 1, count, size, WebP) of three slices of a volume, one of a matrix.

        `at` are the numbers of the slices; a number beyond the last means the last. Without it: the middle ones. Black and white
        are those of the middle slices, so that neighbours have the same brightness.
        """
        if self.dtype.kind not in "biufc":
            raise VolumeRejected(f"voxels of type {self.dtype} are not supported")
        if len(self._axes) < 2:
            raise VolumeRejected("it has only one axis")
        codes = self._codes()
        planes, middles = [], []
        for number, fixed in enumerate(self._axes if len(self._axes) == 3 else [-1]):
            across, up = sorted((axis for axis in self._axes if axis != fixed), key=lambda axis: WORLD.get(codes[axis], axis))[:2]
            count = self.shape[fixed] if fixed >= 0 else 1
            middle = count // 2
            index = min(max(at[number], 1), count) - 1 if number < len(at) else middle
            plane = self._plane(source, fixed, index, across, up)
            middles.append(plane if index == middle else self._plane(source, fixed, middle, across, up))
            if codes[up] in "RAS":  # up in the world is up in the image
                plane = plane[::-1]
            if codes[across] in "LPI":
                plane = plane[:, ::-1]
            planes.append((fixed, index, across, up, plane))
        low, high = _window(middles)
        for fixed, index, across, up, plane in planes:
            grey = np.clip((np.nan_to_num(plane, nan=low, posinf=high, neginf=low) - low) / (high - low), 0, 1)
            if self._is_inverted:
                grey = 1 - grey
            size = self._shown_size(across, up)
            pixels = np.ascontiguousarray((grey * 255).astype(np.uint8))
            body = pillow.grey_webp(pixels.tobytes(), (plane.shape[1], plane.shape[0]), size)
            count = self.shape[fixed] if fixed >= 0 else 1
            yield (
                (PLANES.get(codes[fixed], "Slice") if fixed >= 0 else "Matrix"),
                index + (fixed >= 0 and count > 1),
                count,
                size,
                body,
            )

    def _plane(self, source: Source, fixed: int, index: int, across: int, up: int) -> Any:
        """Return the plane of an index, rows along `up`, columns along `across`. Long edges are sampled; one row at a time is in memory."""
        item = self.dtype.itemsize
        strides, step = {}, item
        for axis in self._axes:
            strides[axis] = step
            step *= self.shape[axis]
        start = self.offset + (index * strides[fixed] if fixed >= 0 else 0)
        fast, slow = sorted((across, up), key=lambda axis: strides[axis])
        columns, rows = _samples(self.shape[fast]), _samples(self.shape[slow])
        plane = np.empty((len(rows), len(columns)), dtype=np.float32)
        for number, row in enumerate(rows):
            offset = start + row * strides[slow]
            if strides[fast] == item:
                values = np.frombuffer(self._read(source, offset, self.shape[fast] * item), self.dtype)[columns]
            else:
                cells = b"".join(self._read(source, offset + column * strides[fast], item) for column in columns)
                values = np.frombuffer(cells, self.dtype)
            with np.errstate(all="ignore"):
                plane[number] = np.abs(values) if self.dtype.kind == "c" else values
        return plane if fast == across else plane.T

    def _read(self, source: Source, offset: int, count: int) -> bytes:
        data = source.read(offset, count)
        if len(data) != count:
            raise FileRejected(self._name, f"{count} bytes at {offset}", f"{len(data)}")
        return data

    def _shown_size(self, across: int, up: int) -> tuple[int, int]:
        """Return the size of the image: with the proportions of the world, the longer edge `EDGE_PX`."""
        lengths = []
        for axis in (across, up):
            zoom = abs(self._zooms[axis]) if axis < len(self._zooms) else 1.0
            lengths.append(self.shape[axis] * (zoom if np.isfinite(zoom) and zoom > 0 else 1.0))
        longest = max(lengths)
        least = longest / MAX_STRETCH
        width, height = (max(1, round(EDGE_PX * max(length, least) / longest)) for length in lengths)
        return width, height

    def _codes(self) -> list[str]:
        """Return the direction of each axis in the world (R, A, S or the opposite), "?" if it is unknown."""
        found: list[str] = []
        with contextlib.suppress(ValueError, np.linalg.LinAlgError):
            if np.isfinite(self._affine).all():
                codes: Any = aff2axcodes(self._affine)  # type: ignore[no-untyped-call]
                found = [code or "?" for code in codes]
        return [*found, *"?" * len(self.shape)][: len(self.shape)] if len(found) < len(self.shape) else found


def _header(name: str, start: bytes) -> tuple[str, Any]:
    reader: Any
    if name.lower().endswith((".mgz", ".mgh")):
        kind, reader = "MGH", MGHHeader
    elif start[4:8] in (b"n+2\0", b"ni2\0"):
        kind, reader = "NIfTI-2", Nifti2Header
    elif start[344:348] == b"n+1\0":
        kind, reader = "NIfTI-1", Nifti1Header
    else:
        raise FileRejected(name, "a NIfTI header", "none")
    with _rejecting(name, f"a {kind} header"):
        if kind == "MGH":
            return kind, reader.from_fileobj(io.BytesIO(start))
        # Without the extensions after the header, which may be long.
        return kind, reader(start[: reader.template_dtype.itemsize])


def _plain_source(file: int, name: str, volume: Volume) -> Source:
    size = os.fstat(file).st_size
    if volume.offset < 0 or volume.offset + volume.total_bytes > size:
        raise FileRejected(name, f"{volume.offset + volume.total_bytes} bytes, as its header says", f"{size}")
    return PlainFile(file)


def _compressed_source(file: int, name: str, volume: Volume) -> Source:
    if volume.offset < 0:
        raise FileRejected(name, "voxels after the header", f"offset {volume.offset}")
    if volume.offset + volume.first_bytes > MAX_DECOMPRESSED_BYTES:
        raise VolumeRejected(f"its first volume is more than {MAX_DECOMPRESSED_BYTES >> 20} MB uncompressed")
    expected_bytes = volume.offset + volume.total_bytes
    body = decompressed(file, name, volume.offset + volume.first_bytes, expected_bytes=expected_bytes)
    return Decompressed(body)


def _samples(count: int) -> Any:
    """Return the indices that are sampled along an edge."""
    return np.unique(np.linspace(0, count - 1, min(count, MAX_SAMPLES)).round().astype(np.int64))


def _window(planes: list[Any]) -> tuple[float, float]:
    """Return the values for black and white: the range of the planes without outliers."""
    values = np.concatenate([plane[np.isfinite(plane)].ravel() for plane in planes])
    if not values.size:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(values, (0.5, 99.5)))
    if high <= low:
        low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low, low + 1.0)


@contextlib.contextmanager
def _rejecting(name: str, expected: str) -> Iterator[None]:
    try:
        yield
    except (
        HeaderDataError,
        ImageFileError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        OverflowError,
        ArithmeticError,
    ) as error:
        raise FileRejected(name, expected, str(error)[:150] or type(error).__name__) from error


def _address_space() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
