import io
import warnings

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian


def dicom_file(codes, *, syntax=ExplicitVRLittleEndian, frame=None, meta=None, **elements):
    """The bytes of a DICOM file, written by pydicom.

    Args:
      codes: `[H, W]` or `[H, W, 3]` stored cells, 8 or 16 bits; None for a file without pixels.
      syntax: transfer syntax; run lengths and JPEG 2000 are compressed here.
      frame: an already compressed frame in place of the cells.
      meta: elements of the file meta information.
      elements: keyword to value, over the defaults.
    """
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = UID(syntax)
    for keyword, value in (meta or {}).items():
        setattr(data.file_meta, keyword, value)
    data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    data.SOPInstanceUID = "1.2.3"
    little = syntax != pydicom.uid.ExplicitVRBigEndian
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if codes is not None:
            bits = codes.dtype.itemsize * 8
            data.Rows, data.Columns = codes.shape[:2]
            data.SamplesPerPixel = 1 if codes.ndim == 2 else 3
            data.PhotometricInterpretation = "MONOCHROME2" if codes.ndim == 2 else "RGB"
            data.BitsAllocated = data.BitsStored = bits
            data.HighBit = bits - 1
            data.PixelRepresentation = 0
            if codes.ndim == 3:
                data.PlanarConfiguration = 0
        for keyword, value in elements.items():
            setattr(data, keyword, value)
        if codes is not None and frame is None:
            cells = codes.astype(codes.dtype.newbyteorder("<" if little else ">"))
            data.PixelData = cells.tobytes() + b"\0" * (cells.nbytes % 2)
            data["PixelData"].VR = "OB" if codes.dtype.itemsize == 1 else "OW"
        elif frame is not None:
            data.PixelData = pydicom.encaps.encapsulate([frame])
            data["PixelData"].VR = "OB"
            data["PixelData"].is_undefined_length = True
        if data.file_meta.TransferSyntaxUID.is_encapsulated and codes is not None and frame is None:
            data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            data.compress(UID(syntax), generate_instance_uid=False)
        file = io.BytesIO()
        data.save_as(file, enforce_file_format=True)
    return file.getvalue()


def sequence(**elements):
    """One item of a sequence, with the given elements."""
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return [item]


def table(first, bits, values, vr="US", order="<"):
    """An item that holds a look-up table."""
    item = Dataset()
    values = np.asarray(values)
    item.add_new(0x00283002, vr, [len(values) % 65536, first, bits])
    item.add_new(0x00283006, "OW", values.astype(f"{order}u2").tobytes())
    return [item]


@pytest.fixture(name="dicom_file")
def dicom_file_fixture():
    return dicom_file


@pytest.fixture(name="sequence")
def sequence_fixture():
    return sequence


@pytest.fixture(name="table")
def table_fixture():
    return table
