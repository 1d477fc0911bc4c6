"""Pixels to sRGB, by the colour profile of their image. Runs in the decoder's child only."""

import io
import re
import struct
import zlib

from PIL import Image, ImageCms

# What Pillow and its codecs raise on invalid bytes. Not a MemoryError, which the worker handles.
BROKEN = (
    *(OSError, ValueError, SyntaxError, TypeError, LookupError, ArithmeticError, AttributeError, EOFError, RuntimeError),
    *(AssertionError, BufferError),
    *(struct.error, zlib.error, ImageCms.PyCMSError),
)
_SRGB_NAME = re.compile(r"sRGB( IEC ?61966[-.]2[-.]1.*| built-in)?\s*")
_PROFILE_SPACES = {"RGB ": ("RGB",), "GRAY": ("L",), "CMYK": ("CMYK",)}


def to_srgb(pixels: Image.Image, profile: bytes | None) -> Image.Image:
    """Return RGB, or RGBA if anything is transparent, converted to sRGB if the image has another usable profile."""
    alpha = None
    if pixels.mode == "RGBa":
        pixels = pixels.convert("RGBA")
        alpha = pixels.getchannel("A")
        pixels = pixels.convert("RGB")
        if alpha.getextrema()[0] == 255:
            alpha = None
    if profile:
        pixels = _apply_profile(pixels, profile)
    if pixels.mode != "RGB":
        pixels = pixels.convert("RGB")
    if alpha is not None:
        pixels.putalpha(alpha)
    return pixels


def _apply_profile(pixels: Image.Image, profile: bytes) -> Image.Image:
    try:
        origin = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if pixels.mode not in _PROFILE_SPACES.get(origin.profile.xcolor_space, ()):
            return pixels  # a profile of another colour space than that of the pixels is ignored
        if _SRGB_NAME.fullmatch(ImageCms.getProfileDescription(origin).strip("\0")):
            return pixels
        done = ImageCms.profileToProfile(pixels, origin, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except BROKEN:  # a broken profile is ignored, as browsers do
        return pixels
    return pixels if done is None else done
