"""Which models a table has."""

import pytest

from metabone.errors import InputError
from metabone.workflows.variants import Variant, check_variants, variants_of


def test_variants_of_one_model_stand_together_with_names_for_rows_and_files():
    found = variants_of(("scratch", "hog + pretrained"), ("softmax", "ordinal"), ("with",))
    assert [each.name for each in found] == [
        "scratch, sex",
        "scratch, ordinal head, sex",
        "hog + pretrained, sex",
        "hog + pretrained, ordinal head, sex",
    ]
    assert found[-1].slug == "hog_and_pretrained_ordinal_sex"
    assert Variant("scratch").slug == Variant("scratch").name == "scratch"


@pytest.mark.parametrize(
    "models, heads, sex, message",
    [
        (("scrath",), ("softmax",), ("with",), "--models=scrath: expected some of scratch"),
        (("hog",), (), ("with",), "--heads=: expected some of softmax, ordinal"),
        (("hog",), ("softmax",), ("with", "with"), "--sex=with,with: .*each once"),
    ],
)
def test_what_is_no_variant_is_refused(models, heads, sex, message):
    with pytest.raises(InputError, match=message):
        check_variants(models, heads, sex)
