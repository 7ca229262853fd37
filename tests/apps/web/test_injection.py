"""What comes from sidecars and results reaches the page as text, never as markup; the policy allows no other script."""

import base64
import hashlib
import json
import re
import shutil

import pytest

from apps.web import build
from models.common import files
from tests.apps.web.conftest import INT8, ONNX, answering, build_site, served
from tests.device_tests.report.page.conftest import Elements

REFUSED = "torch_cnn_small-executorch-int8"
HOSTILE = "<img src=x onerror=\"document.documentElement.dataset.owned='1'\">"
# a file's name holds no slash
HOSTILE_ID = f"x{HOSTILE}-executorch-int8"
SCRIPT = "</script><script>document.documentElement.dataset.owned='1'</script>"


def test_the_policy_allows_this_sites_files_and_webassembly_alone(tmp_path):
    page = tmp_path / "index.html"
    shutil.copy(build.SOURCE / "index.html", page)
    build._allow_import_map(page)
    parsed = Elements(page.read_text())
    (content,) = (a["content"] for _, a in parsed.elements if a.get("http-equiv") == "Content-Security-Policy")
    directives = {name: set(sources) for name, *sources in (part.split() for part in content.split(";"))}
    digests = (hashlib.sha256(script.encode()).digest() for script in parsed.scripts)
    hashes = {f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests}
    assert hashes
    assert directives.pop("default-src") == {"'none'"}
    assert directives.pop("script-src") == {"'self'", "'wasm-unsafe-eval'"} | hashes
    assert {source for sources in directives.values() for source in sources} == {"'self'", "'none'"}
    assert directives["base-uri"] == directives["form-action"] == {"'none'"}


def test_the_page_has_no_inline_handlers_styles_or_other_hosts():
    for _, attributes in Elements((build.SOURCE / "index.html").read_text()).elements:
        assert not any(name.startswith("on") or name == "style" for name in attributes)
        for name in ("href", "src"):
            assert not re.match(r"\w+:|//", attributes.get(name) or "")


SINKS = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|srcdoc|DOMParser|createContextualFragment|"
                   r"javascript:|\beval\(|new Function|set(?:Timeout|Interval)\(\s*[\"'`]")  # fmt: skip


@pytest.mark.parametrize("file", sorted(build.SOURCE.rglob("*.js")), ids=lambda p: p.name)
def test_no_module_of_the_page_turns_text_into_markup_or_code(file):
    assert not SINKS.findall(file.read_text())


@pytest.fixture(scope="module")
def hostile(tmp_path_factory, exported):
    """The site of real artifacts whose sidecars and results were written by somebody else."""
    folder = tmp_path_factory.mktemp("hostile")
    mine, results = folder / "artifacts", folder / "results"
    mine.mkdir()
    for id in (INT8, ONNX):
        for file in exported.glob(f"{id}.*"):
            shutil.copy(file, mine)
    shutil.copy(exported / "torch_cnn_small.reference.npz", mine)
    sidecar = json.loads((mine / f"{INT8}.json").read_text())
    sidecar |= {"labels": [HOSTILE] * 10, "notes": [HOSTILE], "tools": {HOSTILE: HOSTILE}}
    sidecar["dataset"] |= {"name": HOSTILE}
    files.write_json(mine / f"{INT8}.json", sidecar)
    for id, reason in ((HOSTILE_ID, HOSTILE), (REFUSED, SCRIPT)):
        names = {"id": id, "model": id.removesuffix("-executorch-int8"), "format": "executorch"}
        refused = {**sidecar, **names, "file": "", "outcome": "unsupported", "reason": reason}
        files.write_json(mine / f"{id}.json", refused)
    measured = {"artifact": INT8, "runtime": "litert", "device": "desktop", "outcome": "ok", "total": 10, "correct": 9,
                "agree": 9, "artifact_sha256": sidecar["sha256"], "latencies_ns": [70_000], "environment": {"cpu": HOSTILE},
                "notes": [HOSTILE], "flips": [{"index": 25, "label": 5, "ours": 6, "theirs": 5, "our_margin": 0.1, "their_margin": 0.1}]}  # fmt: skip
    files.write_json(results / f"{INT8}@litert@desktop.json", measured)
    return build_site(folder / "dist", mine, results).folder


def assert_harmless(page) -> None:
    assert page.locator("img, iframe, object, embed").count() == 0
    assert page.evaluate("document.documentElement.dataset.owned") is None
    inline = "all => all.filter((one) => !one.src.startsWith(location.origin)).map((one) => one.type)"
    assert page.locator("script").evaluate_all(inline) == ["importmap"]


@pytest.mark.browser
def test_hostile_sidecars_and_results_are_shown_as_text(hostile, opened, expect):
    with served(hostile) as site:
        page = opened(INT8, url=site.url)
        page.locator("#refused summary").click()
        expect(page.locator("#refused dt").filter(has_text=HOSTILE_ID)).to_have_text(HOSTILE_ID)
        assert {HOSTILE, SCRIPT} <= {text.split(": ", 1)[1] for text in page.locator("#refused dd").all_inner_texts()}
        page.locator("#examples-list button.flips").click()
        expect(page.locator("#example-note")).to_contain_text(f"says {HOSTILE}, its float source {HOSTILE}")
        expect(page.locator(".label")).to_have_text([HOSTILE])
        expect(page.locator("#verdict")).to_contain_text(HOSTILE[:30])
        page.locator("#measure").click()
        page.wait_for_selector("#save:visible", timeout=120_000)
        expect(page.locator("#footnote")).to_contain_text(HOSTILE)
        assert_harmless(page)


@pytest.mark.browser
def test_a_hostile_answer_of_the_server_is_shown_as_text(opened, expect):
    example = {"index": HOSTILE, "label": HOSTILE, "image_u8": "", "flips": []}
    routes = {f"artifacts/{INT8}.json": answering({"id": HOSTILE}), "examples.json": answering([[example]])}
    page = opened(INT8, routes=routes)
    expect(page.locator(".state.bad")).to_contain_text(f"is the sidecar of {HOSTILE}")
    page.locator("#examples-list button").click()
    expect(page.locator("#example-note")).to_contain_text(f"labelled {HOSTILE}.")
    assert_harmless(page)


@pytest.mark.browser
@pytest.mark.parametrize("stored", ["[null, 7, {}]", '[{"id": "<img>"}]', "{}", "no JSON", '"text"'])
def test_damaged_picks_of_an_earlier_visit_give_the_default(page, expect, stored):
    page.evaluate("(stored) => localStorage.setItem('edgewise.picks', stored)", stored)
    page.reload()
    expect(page.locator(".check.good")).to_have_count(1)
    expect(page.locator("#problems")).to_be_empty()


@pytest.mark.browser
def test_the_policy_stops_markup_that_got_in_all_the_same(opened):
    page = opened(INT8, expected=("Content Security Policy", "Failed to load resource"))
    page.evaluate("(html) => { document.body.insertAdjacentHTML('beforeend', html); }", HOSTILE)
    page.evaluate("() => new Promise((resolve) => setTimeout(resolve, 200))")
    assert page.evaluate("document.documentElement.dataset.owned") is None
