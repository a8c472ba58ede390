from metabone.radiograph.regions import REGION_NAMES


def test_there_are_six_regions_and_those_that_the_paper_fixes_stand_where_it_puts_them():
    assert len(REGION_NAMES) == 6
    assert REGION_NAMES[1].startswith("middle finger, distal")
    assert REGION_NAMES[3].startswith("middle finger, proximal")
