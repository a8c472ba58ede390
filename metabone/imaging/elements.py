"""The data elements of a DICOM file, found without reading what is in them.

Values are not decoded here, and those that nobody asks for are not even looked at. Sequences are
passed over without recursion or objects, up to a depth and a number of elements, so that no nesting
costs more than its bytes.
"""

import zlib
from collections.abc import Iterator
from struct import unpack_from
from typing import NamedTuple

from metabone.imaging.film import MAX_BYTES, Refused

MAX_ELEMENTS = 200_000
"""Of a file, nested ones included; a radiograph has some hundred."""

MAX_DEPTH = 64
"""Of sequences within sequences; a radiograph has three or four."""

PIXEL_DATA = 0x7FE00010
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"

_TOO_MANY = f"more than {MAX_ELEMENTS:,} data elements; no radiograph has them"
_TRANSFER_SYNTAX = 0x00020010
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
# Value representations whose length takes 4 bytes, and all of them.
_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_VRS = _LONG | set(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())


class Element(NamedTuple):
    """Where an element lies.

    Attributes:
      tag: group and element as one number.
      vr: value representation, or empty where the file leaves it out.
      start: offset of its value.
      length: bytes of its value; None if only a delimiter ends it.
    """

    tag: int
    vr: bytes
    start: int
    length: int | None


class Encoding(NamedTuple):
    """How a data set is written."""

    implicit: bool
    little: bool


class Dataset:
    """The elements of a data set that were asked for, as bytes.

    Attributes:
      data: the bytes that all offsets count in.
      encoding: how they are written.
      elements: by tag.
    """

    def __init__(self, data: bytes, encoding: Encoding, elements: dict[int, Element]):
        self.data = data
        self.encoding = encoding
        self.elements = elements

    def value(self, tag: int) -> bytes:
        """Cuts out the bytes of a value; none if it is absent or not of a known length."""
        element = self.elements.get(tag)
        if element is None or element.length is None:
            return b""
        return self.data[element.start : element.start + element.length]

    def texts(self, tag: int) -> list[str]:
        """Splits a text value at its backslashes; at most the first 1,024 bytes are looked at."""
        text = self.value(tag)[:1024].decode("latin-1")
        return [part.strip(" \0\t\r\n") for part in text.split("\\")] if text else []

    def integers(self, tag: int, signed: bool = False) -> list[int]:
        """Decodes binary integers of 2 bytes, or of 4 where the file says so."""
        value = self.value(tag)
        wide = tag in self.elements and self.elements[tag].vr in (b"UL", b"SL")
        code = ("i" if signed else "I") if wide else ("h" if signed else "H")
        count = min(len(value) // (4 if wide else 2), 64)
        return list(unpack_from(f"{'<' if self.encoding.little else '>'}{count}{code}", value))

    def first_item(self, tag: int, wanted: frozenset[int]) -> "Dataset | None":
        """Opens the first item of a sequence.

        Args:
          tag: of the sequence.
          wanted: tags of the item's elements.

        Returns:
          What the item holds of them; None without the sequence or an item in it.
        """
        element = self.elements.get(tag)
        if element is None or element.length == 0:
            return None
        # An unknown sequence of unknown length is written implicitly (PS3.5 6.2.2).
        implicit = self.encoding.implicit or (element.vr == b"UN")
        encoding = Encoding(implicit, self.encoding.little)
        here, _, start, length = _header(self.data, element.start, encoding)
        if here != _ITEM:
            return None
        end = len(self.data) if length is None else start + length
        found = {}
        for inner in _walk(self.data, start, end, encoding, item=True):
            if inner.tag in wanted:
                found[inner.tag] = inner
        return Dataset(self.data, encoding, found)


def looks_like_dicom(data: bytes) -> bool:
    """Tells whether bytes are those of a DICOM file, with or without its 132 bytes in front."""
    if data[128:132] == b"DICM":
        return True
    if len(data) < 8:
        return False
    # Old files start with group 2 or 8 at once, in either byte order.
    little = unpack_from("<HH", data)
    big = unpack_from(">HH", data)
    return any(group in (2, 8) and element < 0x0100 for group, element in (little, big))


def read_elements(data: bytes, wanted: frozenset[int]) -> tuple[Dataset, str]:
    """Finds the wanted elements of a file, up to its pixels.

    Args:
      data: the file's bytes.
      wanted: tags; `PIXEL_DATA` may be among them.

    Returns:
      The elements, and the UID of the transfer syntax. The latter is the file's word, an untrusted
      text; it is empty where the file says nothing.

    Raises:
      Refused: the file ends within an element, nests too deep, or is a deflate bomb.
    """
    start = 132 if data[128:132] == b"DICM" else 0
    syntax = ""
    meta = Encoding(implicit=False, little=True)
    for _ in range(MAX_ELEMENTS):
        if start + 8 > len(data) or unpack_from("<H", data, start)[0] not in (0, 2):
            break
        element = _header(data, start, meta)
        if element.length is None:
            break
        if element.tag == _TRANSFER_SYNTAX:
            value = data[element.start : element.start + element.length]
            syntax = value[:64].decode("latin-1").strip(" \0")
        start = element.start + element.length
    else:
        raise Refused(_TOO_MANY)
    if syntax == DEFLATED:
        data, start = _inflate(data[start:]), 0
    if start + 8 > len(data):
        return Dataset(data, meta, {}), syntax
    encoding = _encoding(data, start, syntax)
    found: dict[int, Element] = {}
    for element in _walk(data, start, len(data), encoding):
        if element.tag in wanted and element.tag not in found:
            found[element.tag] = element
        if element.tag >= PIXEL_DATA:
            break
    return Dataset(data, encoding, found), syntax


def fragments(dataset: Dataset, element: Element) -> bytes:
    """Joins the fragments of a single compressed frame (PS3.5 A.4).

    Args:
      dataset: that holds the element.
      element: the pixel data, of undefined length.

    Returns:
      The compressed frame.

    Raises:
      Refused: it is not made of items, or cut off.
    """
    data, encoding = dataset.data, Encoding(implicit=True, little=True)
    pieces, position, count = [], element.start, 0
    while position + 8 <= len(data):
        tag, _, start, length = _header(data, position, encoding)
        if tag == _SEQUENCE_END:
            break
        count += 1
        if tag != _ITEM or length is None or count > MAX_ELEMENTS:
            raise Refused("its compressed pixels are not in pieces as DICOM asks for")
        if start + length > len(data):
            raise Refused("cut off within its compressed pixels")
        if count > 1:  # The first item is a table of offsets, of no use to a single frame.
            pieces.append(data[start : start + length])
        position = start + length
    return b"".join(pieces)


def _inflate(data: bytes) -> bytes:
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = stream.decompress(data, MAX_BYTES + 1)
    except zlib.error:
        inflated = b""
    if len(inflated) > MAX_BYTES:
        raise Refused(f"it inflates to more than {MAX_BYTES >> 20} MiB (a decompression bomb?)")
    if not inflated:
        raise Refused("damaged; its deflated part does not inflate")
    return inflated


def _encoding(data: bytes, start: int, syntax: str) -> Encoding:
    # Files are wrong about this often enough that the first element's own word counts.
    implicit = data[start + 4 : start + 6] not in _VRS
    if syntax:
        return Encoding(implicit, little=syntax != BIG_ENDIAN)
    little, big = unpack_from("<H", data, start)[0], unpack_from(">H", data, start)[0]
    return Encoding(implicit, little=little <= big)


def _header(data: bytes, position: int, encoding: Encoding) -> Element:
    order = "<" if encoding.little else ">"
    if position + 8 > len(data):
        raise EOFError
    group, element = unpack_from(f"{order}HH", data, position)
    tag = group << 16 | element
    vr = data[position + 4 : position + 6]
    if encoding.implicit or group == 0xFFFE or vr not in _VRS:
        vr, start = b"", position + 8
        (length,) = unpack_from(f"{order}I", data, position + 4)
    elif vr in _LONG:
        if position + 12 > len(data):
            raise EOFError
        start = position + 12
        (length,) = unpack_from(f"{order}I", data, position + 8)
    else:
        start = position + 8
        (length,) = unpack_from(f"{order}H", data, position + 6)
    return Element(tag, vr, start, None if length == _UNDEFINED else length)


def _walk(
    data: bytes, position: int, end: int, encoding: Encoding, *, item: bool = False
) -> Iterator[Element]:
    count = 0
    while position + 8 <= end:
        count += 1
        if count > MAX_ELEMENTS:
            raise Refused(_TOO_MANY)
        element = _header(data, position, encoding)
        if element.tag in (_ITEM_END, _SEQUENCE_END):
            if element.tag == _ITEM_END and item:
                return
            position = element.start
            continue
        if element.length is not None and element.start + element.length > len(data):
            # Cut off: pixels may still tell how much is there, anything else is lost.
            if element.tag == PIXEL_DATA:
                yield element
            return
        yield element
        if element.tag >= PIXEL_DATA:
            return
        if element.length is None:
            position, passed = _pass_over(data, element, encoding)
            count += passed
        else:
            position = element.start + element.length


def _pass_over(data: bytes, element: Element, encoding: Encoding) -> tuple[int, int]:
    """Finds the end of a value that a delimiter ends.

    Returns:
      The offset behind it, and how many elements lie within.
    """
    levels = [encoding._replace(implicit=encoding.implicit or element.vr == b"UN")]
    position, count = element.start, 0
    while levels:
        inner = _header(data, position, levels[-1])
        count += 1
        position = inner.start
        if inner.tag in (_ITEM_END, _SEQUENCE_END):
            levels.pop()
        elif inner.length is None:
            levels.append(levels[-1]._replace(implicit=levels[-1].implicit or inner.vr == b"UN"))
        else:
            position += inner.length
        if len(levels) > MAX_DEPTH:
            raise Refused(f"sequences more than {MAX_DEPTH} deep; no radiograph has them")
        if count > MAX_ELEMENTS:
            raise Refused(_TOO_MANY)
    return position, count
