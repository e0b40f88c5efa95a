"""Pages, parameters and variants: what the runner accepts, and what it says when it does not."""

import pytest

from neurolib.runs.project import PageError, Parameter, check_parameters, find_project, parameters_of

TAG = '# %% tags=["parameters"]\n'
DECLARED = {
    "lr": Parameter(float, 1e-3),
    "steps": Parameter(int, 10),
    "amp": Parameter(bool, False),
    "source": Parameter(str, "auto"),
    "lags": Parameter(list, [0]),
}


def checked(**params):
    return check_parameters(params, DECLARED, "a page")


def test_the_parameters_cell_gives_names_types_and_defaults():
    cell = (
        TAG
        + 'lr: float = 5e-3  # rate\nn: int = -2\nlags: list[int] = [1, 2]\ns: str = "a"\nb: bool = True\n'
    )
    text = "# %%\nlr = 1\n\n" + cell + "\n# %%\nother: int = 3\n"
    assert parameters_of(text, "page.py") == {
        "lr": Parameter(float, 0.005),
        "n": Parameter(int, -2),
        "lags": Parameter(list, [1, 2]),
        "s": Parameter(str, "a"),
        "b": Parameter(bool, True),
    }


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ("# %%\nn: int = 1\n", 'has 0 cells tagged "parameters"'),
        (TAG + "n: int = 1\n\n" + TAG + "m: int = 1\n", 'has 2 cells tagged "parameters"'),
        (TAG + "n: int = 1\ntwice: int = 2 * n\n", r"twice = 2 \* n is computed"),
        (TAG + "n = 1\n", "name: type = literal"),
        (TAG + "n: Path = 1\n", "parameter n is a Path"),
        (TAG + "n: int = \n", "page.py, parameters cell, line 1: invalid syntax"),
    ],
)
def test_a_parameters_cell_that_cannot_be_injected_is_refused(cells, message):
    with pytest.raises(PageError, match=message):
        parameters_of(cells, "page.py")


def test_text_from_the_command_line_becomes_the_type_the_page_says():
    assert checked(lr="5e-4", steps="20", amp="true", source="7", lags="[1, 2]") == {
        "lr": 5e-4,
        "steps": 20,
        "amp": True,
        "source": "7",
        "lags": [1, 2],
    }


def test_a_whole_number_will_do_for_a_float():
    value = checked(lr=1)["lr"]
    assert value == 1.0 and type(value) is float


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"learning_rate": 1.0}, r"no parameter 'learning_rate'; it has \['amp', 'lags'"),
        ({"steps": 2.5}, "steps=2.5 is float, but the page says int"),
        ({"steps": "2.5"}, "steps='2.5' is str, but the page says int"),
        ({"steps": True}, "steps=True is bool, but the page says int"),
        ({"lr": True}, "lr=True is bool, but the page says float"),
        ({"lr": "fast"}, "lr='fast' is str, but the page says float"),
        ({"amp": 1}, "amp=1 is int, but the page says bool"),
        ({"amp": "1"}, "amp=1 is int, but the page says bool"),
        ({"lags": "[1,"}, r"lags='\[1,' is str, but the page says list"),
        ({"source": 7}, "source=7 is int, but the page says str"),
    ],
)
def test_an_unknown_parameter_or_another_type_is_refused(params, message):
    with pytest.raises(PageError, match=message):
        checked(**params)


def test_a_number_that_yaml_reads_as_text_is_still_a_number(checkout):
    checkout.write("notebooks/params.yml", "demo/good:\n  full: {price: 5e-4}\n")
    assert checkout.project.job("demo/good", "full").params == {"price": 5e-4}
    assert checkout.project.job("demo/good", "quick").params == {}


def test_parameters_given_by_hand_override_the_variant_and_name_it(checkout):
    project = checkout.project
    assert project.job("demo/good").slug == "demo/good"
    assert project.job("demo/good", variant="half").params == {"eggs": 6}
    both = project.job("demo/good", params={"eggs": "7"}, variant="half")
    assert (both.params, both.slug) == ({"eggs": 7}, "demo/good--half")
    unnamed = project.job("demo/good", params={"eggs": "7", "price": "5e-4"})
    assert unnamed.slug == "demo/good--eggs-7-price-5e-4"


def test_a_variant_nobody_defined_is_refused(checkout):
    with pytest.raises(PageError, match=r"no variant 'third' in params.yml; it has \['half', 'two'\]"):
        checkout.project.job("demo/good", variant="third")
    with pytest.raises(PageError, match="profile 'fast' must be one of"):
        checkout.project.job("demo/good", profile="fast")


@pytest.mark.parametrize("variant", ["../out", "a/b", "Caps", "..", ".hidden", "a b", "-x", "a\n", "a\\b"])
def test_a_variant_cannot_name_a_place_outside_its_folder(checkout, variant):
    with pytest.raises(PageError, match="may hold small letters"):
        checkout.project.job("demo/good", params={"eggs": 1}, variant=variant)
    checkout.write(
        "notebooks/params.yml", f"demo/good:\n  variants: {{{variant!r}: {{}}}}\n".replace("'", '"')
    )
    with pytest.raises(PageError, match="may hold small letters"):
        checkout.project.job("demo/good", variant=variant)


def test_values_cannot_make_a_variant_leave_its_folder(checkout):
    checkout.write("notebooks/demo/text.py", TAG + 'name: str = ""\n')
    job = checkout.project.job("demo/text", params={"name": "../../etc"})
    assert job.slug == "demo/text--name-..-..-etc"
    assert checkout.project.executed(job).parent == checkout.root / "book/runs/demo"


@pytest.mark.parametrize("name", ["../good", "/etc/passwd", "demo/../../x", "nothing", "notebooks"])
def test_only_pages_that_exist_can_be_named(checkout, name):
    with pytest.raises(PageError, match="names 0 pages"):
        checkout.project.page(name)


def test_a_part_of_a_name_must_fit_one_page(checkout):
    checkout.page("goods", "pass")
    checkout.page("other", "pass")
    project = checkout.project
    assert project.page("oth") == "demo/other"
    assert project.page("notebooks/demo/good.py") == "demo/good"  # exact, although goods holds it too
    with pytest.raises(PageError, match=r"'goo' names 2 pages \['demo/good', 'demo/goods'\]"):
        project.page("goo")


def test_the_scoreboard_comes_last(checkout):
    checkout.write("notebooks/scoreboard.py", TAG)
    checkout.write("notebooks/zebra/a.py", TAG)
    checkout.write("notebooks/demo/.ipynb_checkpoints/good.py", TAG)
    assert checkout.project.pages() == ["demo/good", "zebra/a", "scoreboard"]


def test_params_for_a_page_that_does_not_exist_are_an_error(checkout):
    checkout.write("notebooks/params.yml", "demo/godo: {full: {eggs: 1}}\n")
    with pytest.raises(PageError, match=r"params.yml names pages that do not exist: \['demo/godo'\]"):
        checkout.project.job("demo/good")


def test_a_checkout_is_found_from_any_folder_inside_it(checkout, tmp_path):
    assert find_project(checkout.root / "notebooks" / "demo") == checkout.project
    with pytest.raises(PageError, match="no book found above"):
        find_project(tmp_path)
