from metabone.report import tables


def test_text_lines_up():
    table = tables.Table(
        "T", ("arm", "5"), 1, ((tables.Cell("a"), tables.Cell("1.0", "2")),), ("note",)
    )
    assert tables.to_text(table).splitlines() == [
        "T",
        "------------",
        "arm        5",
        "------------",
        "a    1.0 [2]",
        "------------",
        "note",
    ]


def test_markdown_escapes_its_own_bars():
    table = tables.Table("T", ("a|b", "5"), 1, ((tables.Cell("x"), tables.Cell("1")),))
    assert tables.to_markdown(table).splitlines() == [
        "T",
        "",
        "| a\\|b | 5 |",
        "| --- | ---: |",
        "| x | 1 |",
    ]
