"""The results page and the explorer in Chromium: light, dark, printed, on a phone, by keyboard, and with many rows."""

import csv
import dataclasses

import pytest
from browser import browser_page
from deepcam.report import explorer_page
from page_example import CASES, large, limits, render, row, table
from record_example import cell

A4 = {"width": 717, "height": 1046}
"""CSS pixels of an A4 page within Chromium's margins of 0.4 inches."""


@pytest.fixture(scope="module")
def summary_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("summary") / "summary.html"
    rows = [*CASES["compute"], *limits(2.05, 110, 2.1, 130, cache="warm", num_starts=1)]
    rows += [row("io", 1.0, ranks=n, invalid_reasons="run_count: expected 3, got 2") for n in (2, 4)]
    path.write_text(render(table(*rows)))
    return path


@pytest.fixture(scope="module")
def explorer_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("explorer") / "explorer.html"
    path.write_text(explorer_page.render(table(*large())))
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1200])
@pytest.mark.parametrize("name", ["summary", "explorer"])
def test_a_page_fits_its_window_in_both_colour_schemes(name, width, scheme, request):
    path = request.getfixturevalue(f"{name}_path")
    with browser_page(width, color_scheme=scheme) as (page, complaints):
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (colour == "rgb(255, 255, 255)") == (scheme == "light")
        assert not complaints


def test_the_first_printed_page_ends_after_the_picture_and_everything_is_unfolded(summary_path, tmp_path):
    longest = [*limits(120, 100, 700, 105), *limits(120, 3000, 300, 3100, cache="warm", num_starts=1)]
    faults = [row("io", 1.0, ranks=2, invalid_reasons="run_count: expected 3, got 2")]
    (tmp_path / "longest.html").write_text(render(table(*longest, *faults, stopped=["minutes"]), [cell(seconds=0.5)]))
    with browser_page(**A4) as (page, _):
        for path in (tmp_path / "longest.html", summary_path):
            page.goto(path.as_uri())
            page.emulate_media(media="print")
            picture = page.locator("figure").bounding_box()
            assert picture["y"] + picture["height"] < A4["height"]
        assert page.locator(".after-picture").evaluate("e => getComputedStyle(e).breakBefore") == "page"
        assert page.locator("dl.words").bounding_box()["height"] > 100
        assert page.locator("nav").is_hidden()


def test_the_results_page_has_the_roles_that_a_screen_reader_announces(summary_path):
    with browser_page() as (page, _):
        page.goto(summary_path.as_uri())
        assert page.get_by_role("heading", level=1).count() == 1
        assert page.get_by_role("img", name="18× headroom in storage").count() == 1
        assert page.get_by_role("rowheader", name="End-to-end", exact=True).count() == 2
        assert page.get_by_role("navigation", name="Other results").count() == 1
        assert page.get_by_role("region", name="Verdict").count() == 0  # named by its own heading
        assert page.get_by_role("region", name="Compute-bound").count() == 1
        for table_name in ("Readers", "Engines", "Storage sizing", "Problems"):
            assert page.get_by_role("region", name=table_name).get_by_role("table").count() == 1


def test_the_results_page_works_by_keyboard(summary_path):
    with browser_page() as (page, _):
        page.goto(summary_path.as_uri())
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "All results"
        page.get_by_text("Repeat this run").focus()
        assert page.locator("pre").is_hidden()
        page.keyboard.press("Enter")
        assert page.locator("pre").is_visible()
        page.get_by_role("link", name="Glossary").focus()
        page.keyboard.press("Enter")
        assert page.locator("dl.words").is_visible()


def count(page):
    """The number of configurations that the explorer shows."""
    return int(page.locator("#count").inner_text().split()[0])


def test_filters_apply_to_chart_and_table_and_stay_in_the_address(explorer_path):
    with browser_page() as (page, complaints):
        page.goto(explorer_path.as_uri())
        first = count(page)
        page.get_by_label("torch").check()
        page.get_by_label("numpy").check()
        assert count(page) == 48 < first  # of two readers, four batch sizes and six numbers of threads
        assert page.evaluate("marks.length") == 48
        assert page.locator("#body tr").count() == 48
        page.get_by_label("Vertical").select_option("cpu")
        address = page.url
        assert "reader=numpy&reader=torch" in address
        page.goto("about:blank")
        page.goto(address)
        assert count(page) == 48 and page.locator("#y").input_value() == "cpu"
        page.get_by_role("button", name="Show all").click()
        page.wait_for_function("document.getElementById('count').textContent.startsWith('403 ')")
        assert not complaints


def test_a_mark_and_its_row_are_chosen_together(explorer_path):
    with browser_page() as (page, _):
        page.goto(explorer_path.as_uri() + "#reader=torch")
        place = page.evaluate("marks.at(-1)")
        page.locator("#chart").click(position={"x": place["x"] + 3, "y": place["y"] - 3})
        row_of_mark = page.locator("#body tr.on")
        chosen = page.locator("#chosen").inner_text()
        assert row_of_mark.count() == 1 and "torch" in row_of_mark.inner_text() and "torch" in chosen
        page.locator("#body tr").nth(3).click()
        assert page.locator("#chart .on").count() == 1
        assert page.locator("#chosen").inner_text() != chosen


def test_a_row_far_down_is_reached_from_its_mark(explorer_path):
    with browser_page() as (page, _):
        page.goto(explorer_path.as_uri() + "#_x=reader")
        assert page.locator("#body tr").count() < count(page) == 403
        last = page.evaluate("shown.at(-1).i")
        page.evaluate(f"choose({last}, true)")
        assert page.locator("#body tr.on").is_visible()


def test_columns_sort_both_ways_and_the_way_stays_in_the_address(explorer_path):
    with browser_page() as (page, _):
        page.goto(explorer_path.as_uri() + "#reader=torch")
        head = page.get_by_role("columnheader", name="Threads")
        for way, threads in (("ascending", "1"), ("descending", "32")):
            head.get_by_role("button").click()
            assert head.get_attribute("aria-sort") == way
            column = [*page.locator("#head th").all_inner_texts()].index(head.inner_text())
            assert page.locator("#body tr").first.locator("td").nth(column).inner_text() == threads
        page.reload()
        assert page.get_by_role("columnheader", name="Threads").get_attribute("aria-sort") == "descending"


def test_the_table_works_by_keyboard(explorer_path):
    with browser_page() as (page, _):
        page.goto(explorer_path.as_uri() + "#reader=torch")
        page.locator("#body tr").first.focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        assert page.locator("#body tr").nth(1).get_attribute("aria-selected") == "true"
        assert "torch" in page.locator("#chosen").inner_text()


def test_what_is_shown_can_be_saved_as_csv(explorer_path, tmp_path):
    with browser_page() as (page, _):
        page.goto(explorer_path.as_uri() + "#reader=torch&threads=8")
        with page.expect_download() as download:
            page.get_by_role("button", name="Save as CSV").click()
        download.value.save_as(tmp_path / "saved.csv")
    saved = list(csv.DictReader((tmp_path / "saved.csv").open()))
    assert (
        len(saved) == 4 and {one["reader"] for one in saved} == {"torch"} and {one["threads"] for one in saved} == {"8"}
    )


def test_a_link_from_the_results_page_shows_the_configurations_with_a_problem(explorer_path):
    with browser_page() as (page, _):
        page.goto(explorer_path.as_uri() + "#problem=gpudirect_storage")
        assert count(page) == 24
        assert page.get_by_label("GDS fallback").is_checked()
        assert set(page.locator("#body td.INVALID").all_inner_texts()) == {"INVALID"}


def test_a_filter_of_5000_configurations_answers_within_100_ms(tmp_path):
    rows = [(dataclasses.replace(cell, ranks=1 + n), made) for n in range(13) for cell, made in large()][:5000]
    (tmp_path / "explorer.html").write_text(explorer_page.render(table(*rows)))
    with browser_page() as (page, _):
        page.goto((tmp_path / "explorer.html").as_uri())
        box = "document.querySelector('#boxes input[name=reader][value=torch]')"
        times = page.evaluate(
            f"""() => Array.from({{length: 20}}, () => {{
                const start = performance.now();
                {box}.click();
                document.body.offsetHeight;
                return performance.now() - start;
            }})"""
        )
        assert page.evaluate("rows.length") > 4000
        assert min(times[::2]) < 100 and min(times[1::2]) < 100  # ticked, and not
