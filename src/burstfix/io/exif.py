"""What the output tells of itself: the reference's EXIF made true, and an XMP packet."""

import re
from collections.abc import Container, Mapping, Sequence
from datetime import datetime
from xml.sax.saxutils import escape, quoteattr

from burstfix.frame import Metadata, Size
from burstfix.io import ifd
from burstfix.io.ifd import Directory, Field
from burstfix.io.metadata import DESCRIBING

# Dropped: how a JPEG's samples were coded (2), places in the unturned picture (2), maker notes
# (their offsets count from the start of the file they came from, and would now point at
# rubbish), sizes (2), a sound file, interoperability (it says "a DCF camera file"), CFA pattern.
_DROPPED = {37121, 37122, 37396, 41492, 37500, 40962, 40963, 40964, ifd.INTEROP, 41730}
_MAKE, _MODEL, _ORIENTATION, _SOFTWARE = 271, 272, 274, 305
_COLOR_SPACE, _VERSION, _WIDTH, _HEIGHT = 40961, 36864, 40962, 40963
_SRGB, _UNCALIBRATED = 1, 65535
_MOST_BYTES = 60_000  # a JPEG's EXIF must fit one segment of 64 KB


# How a picture came about, by words of letters and underscores: version, backend, inputs...
Provenance = Mapping[str, str | int | float | Sequence[str]]


def exif_for_output(
    metadata: Metadata, size: Size, software: str, *, linear: bool = False
) -> bytes:
    """Return the reference's EXIF, true of the output.

    Args:
        metadata: the reference's; its EXIF block may be damaged or missing.
        size: (height, width) of the output.
        software: what wrote it, as "burstfix 1.2.3".
        linear: whether the output holds linear light.

    Returns:
        A TIFF structure that fits a JPEG.
    """
    directory = exif_directory(metadata, size, software, linear=linear)
    while len(data := ifd.write_structure(directory)) > _MOST_BYTES:
        directory = _without_largest(directory)
    return data


def exif_directory(
    metadata: Metadata, size: Size, software: str, *, linear: bool = False
) -> Directory:
    """Return what `exif_for_output` writes, for formats that are TIFF themselves."""
    source = ifd.read_directory(metadata.exif)
    top = _described(metadata) | _only(source.fields, DESCRIBING)
    top |= {_ORIENTATION: ifd.short(1), _SOFTWARE: ifd.ascii_text(software)}
    shot = _shooting(metadata)
    if ifd.EXIF in source.children:
        found = source.children[ifd.EXIF].fields
        shot |= {tag: value for tag, value in found.items() if tag not in _DROPPED}
    shot.setdefault(_VERSION, ifd.undefined(b"0232"))
    if linear or not metadata.icc:  # what has no profile is sRGB
        shot[_COLOR_SPACE] = ifd.short(_UNCALIBRATED if linear else _SRGB)
    else:
        shot.setdefault(_COLOR_SPACE, ifd.short(_UNCALIBRATED))
    shot |= {_WIDTH: ifd.long(size[1]), _HEIGHT: ifd.long(size[0])}
    children = {ifd.EXIF: Directory(shot)}
    gps = source.children.get(ifd.GPS)
    if gps is not None and gps.fields:
        children[ifd.GPS] = Directory(gps.fields)
    return Directory(top, children)


def is_uncalibrated(metadata: Metadata) -> bool:
    """Tell whether the reference's EXIF says that its colours are others than sRGB's."""
    shot = ifd.read_directory(metadata.exif).children.get(ifd.EXIF, Directory())
    return shot.fields.get(_COLOR_SPACE) == ifd.short(_UNCALIBRATED)


def xmp_packet(provenance: Provenance) -> bytes:
    """Return an XMP packet that tells how the picture came about; UTF-8.

    Args:
        provenance: what to tell; what is empty is left out.
    """
    told = "".join(_property(name, value) for name, value in provenance.items() if value != "")
    tool = quoteattr(_legal(f"burstfix {provenance.get('version', '')}".strip()))
    packet = (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
        f' xmlns:burstfix="urn:burstfix:provenance:1#" xmp:CreatorTool={tool}>'
        f'{told}</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    )
    return packet.encode()


def _property(name: str, value: str | int | float | Sequence[str]) -> str:
    """Return one property of the packet; a list becomes an ordered one."""
    if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError(f"{name!r} cannot name a property.")
    if isinstance(value, str | int | float):
        text = escape(_legal(str(value)))
    else:
        items = "".join(f"<rdf:li>{escape(_legal(item))}</rdf:li>" for item in value)
        text = f"<rdf:Seq>{items}</rdf:Seq>"
    return f"<burstfix:{name}>{text}</burstfix:{name}>"


def _described(metadata: Metadata) -> dict[int, Field]:
    """Return what the main directory tells where the file's own block is silent."""
    make, _, model = metadata.camera.strip().partition(" ")
    fields = {_MAKE: make, _MODEL: model}
    return {tag: ifd.ascii_text(text) for tag, text in fields.items() if text}


def _shooting(metadata: Metadata) -> dict[int, Field]:
    """Return what the EXIF directory tells where the file's own block is silent."""
    fields: dict[int, Field] = {}
    for tag, value in (
        (33434, metadata.exposure_s),
        (33437, metadata.aperture),
        (37386, metadata.focal_length_mm),
    ):
        if value is not None and 0 < value < float("inf"):
            fields[tag] = ifd.rational(value)
    if metadata.iso is not None and 0 < metadata.iso < 2**31:
        iso = round(metadata.iso)
        fields |= {34855: ifd.short(min(iso, 65535)), 34864: ifd.short(2), 34866: ifd.long(iso)}
    if metadata.lens:
        fields[42036] = ifd.ascii_text(metadata.lens)
    return fields | (date_fields(metadata.taken) if metadata.taken else {})


def date_fields(taken: datetime) -> dict[int, Field]:
    """Return DateTimeOriginal, with its sub-seconds where there are any."""
    fields = {36867: ifd.ascii_text(taken.strftime("%Y:%m:%d %H:%M:%S"))}
    if taken.microsecond:
        fields[37521] = ifd.ascii_text(f"{taken.microsecond:06d}".rstrip("0"))
    return fields


def _only(fields: Mapping[int, Field], tags: Container[int]) -> dict[int, Field]:
    """Return the fields of some tags."""
    return {tag: value for tag, value in fields.items() if tag in tags}


def _without_largest(directory: Directory) -> Directory:
    """Return a directory without its largest field, wherever that is."""
    owners = [directory, *directory.children.values()]
    owner, tag = max(
        ((owner, tag) for owner in owners for tag in owner.fields),
        key=lambda place: len(place[0].fields[place[1]].data),
    )
    pruned = {key: value for key, value in owner.fields.items() if key != tag}
    if owner is directory:
        return Directory(pruned, directory.children)
    children = {
        key: Directory(pruned) if child is owner else child
        for key, child in directory.children.items()
    }
    return Directory(directory.fields, children)


def _legal(text: str) -> str:
    """Replace what XML 1.0 cannot hold; names of files may hold anything."""
    return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)
