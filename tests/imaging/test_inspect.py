import numpy as np

from metabone.imaging.inspect import inspect_text


def test_a_film_is_described_on_one_screen(dicom_file, tmp_path):
    cells = np.arange(256, dtype=np.uint8).reshape(8, 32)
    path = tmp_path / "hand.dcm"
    path.write_bytes(
        dicom_file(
            cells,
            PhotometricInterpretation="MONOCHROME1",
            WindowCenter="128",
            WindowWidth="256",
            PixelSpacing=["0.5", "0.25"],
            Laterality="L",
            PatientSex="F",
            PatientAge="150M",
            PatientName="Roe^Jane",
            Modality="CR",
        )
    )
    text = inspect_text(path)
    assert text == (
        f"{path}\n"
        "  is a film in DICOM, uncompressed.\n"
        "Pixels\n"
        "  32 wide, 8 high, 8 bits\n"
        "  stored values from 0 to 255\n"
        "  shown: 1 % below grey 3, half below 128, 99 % below 252 of 255\n"
        "  0.5 mm between rows, 0.25 mm between columns: 8 mm wide, 4 mm high\n"
        "Done to its pixels\n"
        "  LINEAR window of centre 128 and width 256 applied\n"
        "  inverted, since its lowest value is white\n"
        "Known of it\n"
        "  side: left\n"
        "  sex: female\n"
        "  age: 12 years and 6 months\n"
        "  modality: CR\n"
        "  not said, or not in a term of DICOM: view, body part\n"
        "Warnings\n"
        "  pixels are not square; nothing here makes them so\n"
        "Not read on purpose\n"
        "  names, numbers, dates and places of the patient and of the examination\n"
        "  free text and private elements\n"
        "  overlays, icons and the order of windows after the first\n"
    )


def test_old_age_and_nothing_known_are_said_in_words(dicom_file, tmp_path):
    path = tmp_path / "film"
    path.write_bytes(dicom_file(np.array([[0, 255]], np.uint8), PatientAge="097Y"))
    text = inspect_text(path)
    assert "  age: 90 years or more\n" in text
    assert "  the distance between pixels is not known\n" in text
    assert "Warnings\n  none\n" in text
