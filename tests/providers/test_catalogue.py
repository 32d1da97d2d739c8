"""The built-in models, as clients and the admin page see them."""

from oneapi.providers import catalogue


def test_the_catalogue_has_one_api_s_entries_and_each_name_once() -> None:
    assert len(catalogue.ENTRIES) == 492
    assert len(catalogue.DISTINCT) == len(catalogue.BY_ID) == 471


def test_a_name_of_several_vendors_is_described_by_the_last_and_listed_as_the_first() -> None:
    assert catalogue.BY_ID["claude-2.1"]["owned_by"] == "aws"
    owner = {entry["id"]: entry["owned_by"] for entry in catalogue.DISTINCT}
    assert owner["claude-2.1"] == "anthropic"


def test_a_model_that_is_not_built_in_is_custom() -> None:
    model = catalogue.custom_model("mine")
    assert (model["owned_by"], model["permission"], model["root"]) == ("custom", None, "mine")


def test_the_proxy_type_has_no_models() -> None:
    assert catalogue.MODELS_BY_CHANNEL_TYPE["43"] is None
    assert list(catalogue.MODELS_BY_CHANNEL_TYPE["36"] or ()) == ["deepseek-chat", "deepseek-reasoner"]
