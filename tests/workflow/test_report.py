"""The report, of records that nobody measured: complete, the same again from a bundle, readable in a browser."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml
from browser import browser_page
from dataset_example import dataset
from deepcam import grid
from deepcam.config import parse
from deepcam.record import store
from deepcam.report import bundle, contents
from record_example import cell_content, judged, verdict

ROOT = Path(__file__).parents[2]


def make_report(code, folder, *config):
    """What make report does, in `folder`."""
    places = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    options = ["--snakefile", f"{code}/Snakefile", "--workflow-profile", f"{code}/profiles/default"]
    return subprocess.run(
        [code / "workflow_scripts/run_workflow.sh", *options, "--configfile", *config],
        cwd=folder, env=os.environ | places | {"DEEPCAM_REPORT_ONLY": "1"}, capture_output=True, text=True, timeout=600,
    )  # fmt: skip


def tiny():
    layers = [yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()) for name in ("config", "tiny")]
    return parse(*layers).model_dump(mode="json")


def write_records(results):
    """A record for each cell of the tiny grid; one has too few runs."""
    cells = grid.cells(parse(tiny()))
    for number, of_grid in enumerate(cells):
        fields = {name: getattr(of_grid, name) for name in of_grid.__dataclass_fields__}
        made = cell_content(0.1 if of_grid.mode == "io" else 2.0 + 0.1 * (of_grid.mode == "inference"), **fields)
        if number == 0:
            made["settings"]["runs"] = 3
        store.write(judged(made), results / "benchmark" / of_grid.id / "0.json")
    return cells


def write_verdicts(results):
    for engine in ("eager-fp32", "aotinductor-auto"):
        (results / "accuracy" / engine).mkdir(parents=True)
        (results / "accuracy" / engine / "cpu.json").write_text(json.dumps(verdict()))


def write_dataset(folder):
    folder.mkdir()
    dataset(samples=4).model_copy(update={"total_bytes": 4_000_000_000}).write(folder / "dataset.json")


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """A folder with the report of a grid: one cell is not valid, one has no record, and the data lie elsewhere."""
    folder = tmp_path_factory.mktemp("report")
    cells = write_records(folder / "results")
    shutil.rmtree(folder / "results/benchmark" / cells[-1].id)
    write_verdicts(folder / "results")
    write_dataset(folder / "elsewhere")
    (folder / "elsewhere.yaml").write_text(f"data: {{dir: {folder}/elsewhere}}\n")
    ended = make_report(ROOT, folder, ROOT / "config/tiny.yaml", "elsewhere.yaml")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder, cells, ended


def made(folder):
    """Sums of what must be the same again; tables, figures and pages."""
    paths = [*folder.glob("results/tables/*"), *folder.glob("results/figures/*"), *folder.glob("results/*.html")]
    paths.append(folder / "results/result.json")
    return {path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def test_the_summary_names_what_is_not_valid_and_what_is_missing(reported):
    folder, cells, ended = reported
    page = (folder / "results/summary.html").read_text()
    assert f"{len(cells) - 2} of {len(cells) - 1} configurations are VALID" in page
    assert "Missing records" in page and "Run the same command again" in page
    assert "Records with fewer or more runs than asked for" in page
    assert '<h2 id="verdict">Compute-bound</h2>' in page
    assert "http://" not in page and "https://" not in page
    assert "summary: results/summary.html" in ended.stdout


def test_records_are_not_touched_and_nothing_is_measured(reported):
    folder, cells, _ = reported
    assert len(list(folder.glob("results/benchmark/*/0.json"))) == len(cells) - 1
    assert not (folder / "results/logs/run_benchmark").exists()


def test_the_report_and_the_bundle_can_be_made_again_byte_for_byte(reported, tmp_path):
    folder, _, _ = reported
    command = [sys.executable, "-m", "snakemake", "bundle", "--snakefile", str(ROOT / "Snakefile"), "--cores", "2"]
    command += ["--workflow-profile", str(ROOT / "profiles/default"), "--configfile", str(ROOT / "config/tiny.yaml")]
    command += ["elsewhere.yaml"]
    ended = subprocess.run(
        command, cwd=folder, env=os.environ | {"DEEPCAM_REPORT_ONLY": "1"}, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    first = (folder / "results/bundle.tar.gz").read_bytes()
    subprocess.run(["tar", "--extract", "--file", folder / "results/bundle.tar.gz"], cwd=tmp_path, check=True)
    unpacked = tmp_path / bundle.TOP
    before = made(unpacked)
    assert before == made(folder) and len(before) > 25
    for path in before:
        (unpacked / path).unlink()
    (folder / "elsewhere").rename(tmp_path / "gone")
    ended = make_report(unpacked, unpacked, "config/bundle.yaml")
    (tmp_path / "gone").rename(folder / "elsewhere")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert made(unpacked) == before
    sums = subprocess.run(["sha256sum", "--check", "--quiet", "results.sha256"], cwd=unpacked, capture_output=True)
    assert sums.returncode == 0, sums.stdout + sums.stderr
    # The same content gives the same bytes, whenever it is packed.
    for name in ("again", "third"):
        config, dataset = (folder / made for made in ("results/config.yaml", "elsewhere/dataset.json"))
        bundle.write(ROOT, config, dataset, [], tmp_path / name, "cpu")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "third").read_bytes()
    assert len(first) < 16 * 2**20


def test_an_anonymised_bundle_has_the_whole_report_without_the_names_in_it(reported, tmp_path):
    folder, cells, _ = reported
    with tarfile.open(tmp_path / "named.tar.gz", "w:gz") as archive:
        archive.add(folder / "results", f"{bundle.TOP}/results")
        archive.add(folder / "elsewhere", f"{bundle.TOP}/results/data")
    command = [sys.executable, ROOT / "workflow_scripts/anonymise_bundle.py", "named.tar.gz", "--output", "b.tar.gz"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    subprocess.run(["tar", "--extract", "--file", "b.tar.gz"], cwd=tmp_path, check=True)
    unpacked = tmp_path / bundle.TOP
    assert made(unpacked).keys() == made(folder).keys()
    assert len(list(unpacked.glob("results/benchmark/*/0.json"))) == len(cells) - 1
    sums = subprocess.run(["sha256sum", "--check", "--quiet", "results.sha256"], cwd=unpacked, capture_output=True)
    assert sums.returncode == 0, sums.stdout + sums.stderr
    page = (unpacked / "results/summary.html").read_text()
    assert "<strong>node-1</strong>" in page and "<strong>n0</strong>" in (folder / "results/summary.html").read_text()
    found = [path for path in unpacked.rglob("*") if path.is_file() and str(folder).encode() in path.read_bytes()]
    assert found == []


def test_every_figure_of_the_report_is_displayed_with_its_caption(reported):
    folder, _, _ = reported
    figures = sorted(folder.glob("results/figures/*.svg"))
    with browser_page() as (page, complaints):
        shown = {}
        for category in sorted({contents.FIGURES[path.stem].category for path in figures}):
            page.goto((folder / "results/report/report.html").as_uri())
            page.get_by_text(category, exact=True).first.click()
            labels = [label for label in page.locator("tbody tr td:first-child").all_inner_texts() if label]
            for label in labels:
                row = page.locator("tbody tr").filter(has=page.get_by_text(label, exact=True))
                assert row.locator("a").count() == 2
                if label.endswith(": its data"):
                    with page.expect_download() as download:
                        row.locator("a").first.click()
                    assert download.value.suggested_filename.endswith(".csv")
                    continue
                row.locator("a").first.click()
                image = page.locator("img").last
                image.wait_for()
                shown[label] = image.evaluate("async image => { await image.decode(); return image.naturalWidth; }")
                row.locator("a").last.click()
                assert len(page.locator(".prose-invert").inner_text()) > 100  # its caption
                page.get_by_text(category, exact=True).first.click()
        assert len(shown) == len(figures) and all(width > 300 for width in shown.values())
        assert not complaints


def test_the_links_of_the_results_page_lead_somewhere(reported):
    folder, _, _ = reported
    with browser_page() as (page, complaints):
        page.goto((folder / "results/summary.html").as_uri())
        targets = page.locator("a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
        assert len(targets) > 5
        for target in targets:
            file, _, anchor = target.partition("#")
            assert (folder / "results" / file).exists()
            assert file or page.locator(f"#{anchor}").count() == 1
        assert not complaints


def test_a_problem_of_the_results_page_leads_to_its_configurations(reported):
    folder, _, _ = reported
    with browser_page() as (page, complaints):
        page.goto((folder / "results/summary.html").as_uri())
        page.get_by_role("row", name="Records with fewer or more runs").get_by_role("link").click()
        page.wait_for_url("**/explorer.html#problem=run_count")
        assert page.locator("#body tr").count() == 1
        assert not complaints
