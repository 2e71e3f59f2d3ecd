"""The results page and the explorer on paper, by keyboard alone, for weak eyes, and on a phone, in Chromium."""

import re

import pytest
from browser import browser_page
from deepcam.report import explorer_page
from page_example import CASES, large, limits, render, row, table
from record_example import cell

UNFOLD = "document.querySelectorAll('details').forEach(details => details.open = true)"

STOPS = """() => {
  const all = [...document.querySelectorAll('a[href], summary, button, input, select, [tabindex="0"]')];
  const shown = all.filter(element => element.checkVisibility() && !element.disabled);
  shown.forEach((element, number) => element.dataset.stop = number);
  return shown.length;
}"""
"""Number what the Tab key must reach, and return how much that is."""

ACTIVE = "[document.activeElement.dataset.stop, getComputedStyle(document.activeElement).outlineStyle]"

CONTRAST = """() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = colour => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = colour => colour.slice(0, 3).map(value => value / 255)
    .map(value => value <= .04045 ? value / 12.92 : ((value + .055) / 1.055) ** 2.4)
    .reduce((sum, value, index) => sum + value * [.2126, .7152, .0722][index], 0);
  const behind = element => {
    for (; element; element = element.parentElement) {
      const colour = rgba(getComputedStyle(element).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255];
  };
  const weak = new Set(), walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const text = walk.currentNode.data.trim(), element = walk.currentNode.parentElement;
    if (!text || !element.checkVisibility() || element.closest('script, style, .hide')) continue;
    const style = getComputedStyle(element), size = parseFloat(style.fontSize);
    const front = luminance(rgba(element.closest('svg') ? style.fill : style.color)), back = luminance(behind(element));
    const ratio = (Math.max(front, back) + .05) / (Math.min(front, back) + .05);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) weak.add(`${text.slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return [...weak];
}"""
"""The texts whose contrast is less than WCAG 2 asks for at level AA: 4.5, or 3 for large letters."""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Both pages by name, and a results page on which every part of the first printed page is as long as it gets."""
    folder = tmp_path_factory.mktemp("pages")
    faults = [row("io", 1.0, ranks=n, invalid_reasons="run_count: expected 3, got 2") for n in (2, 4)]
    rows = [*CASES["compute"], *limits(2.05, 110, 2.1, 130, cache="warm", num_starts=1), *faults]
    longest = [*limits(120, 100, 700, 105), *limits(120, 3000, 300, 3100, cache="warm", num_starts=1), *faults]
    for name, text in {
        "summary": render(table(*rows)),
        "longest": render(table(*longest, stopped=["minutes"]), [cell(seconds=0.5)]),
        "explorer": explorer_page.render(table(*large())),
    }.items():
        (folder / f"{name}.html").write_text(text)
    return {path.stem: path.as_uri() for path in folder.iterdir()}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["summary", "longest"])
def test_page_1_of_the_pdf_ends_after_the_picture(name, scheme, pages):
    def printed(**options):
        return re.sub(rb"\(D:[^)]*\)", b"", page.pdf(format="A4", tagged=False, **options))  # without dates

    with browser_page(color_scheme=scheme) as (page, _):
        page.goto(pages[name])
        first, everything = printed(page_ranges="1"), printed()
        page.evaluate("document.querySelector('.after-picture').hidden = true")
        assert page.locator("figure").is_visible()
        assert first == printed() != everything
        page.emulate_media(media="print")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


@pytest.mark.parametrize("name", ["summary", "explorer"])
def test_the_tab_key_reaches_every_link_fold_and_field_in_the_order_of_the_page(name, pages):
    with browser_page() as (page, _):
        page.goto(pages[name])
        page.evaluate(UNFOLD)
        stops = page.evaluate(STOPS)
        reached = []
        for _ in range(stops):
            page.keyboard.press("Tab")
            number, outline = page.evaluate(ACTIVE)
            reached.append(number)
            assert outline != "none", number
        assert reached == [str(number) for number in range(stops)] and stops > 10


def test_every_fold_of_the_results_page_opens_by_keyboard(pages):
    with browser_page() as (page, _):
        page.goto(pages["summary"])
        folds = page.locator("details > summary")
        assert folds.count() >= 3
        for number in range(folds.count()):
            folds.nth(number).focus()
            page.keyboard.press("Enter")
        assert page.evaluate("[...document.querySelectorAll('details')].every(details => details.open)")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["summary", "longest", "explorer"])
def test_texts_have_enough_contrast(name, scheme, pages):
    with browser_page(color_scheme=scheme) as (page, _):
        page.goto(pages[name])
        page.evaluate(UNFOLD)
        assert page.evaluate(CONTRAST) == []


@pytest.mark.parametrize("name", ["summary", "longest", "explorer"])
def test_an_unfolded_page_does_not_scroll_sideways_on_a_phone(name, pages):
    with browser_page(400) as (page, _):
        page.goto(pages[name])
        page.evaluate(UNFOLD)
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
