"""Each gate refuses an APK that it is there to refuse: what the tools print is prepared."""

from pathlib import Path

import pytest

from apps.android import gates, tools
from models.common.errors import EdgewiseError
from tests.conftest import zipped

GOOD = {
    "apksigner": "Verified using v2 scheme (APK Signature Scheme v2): true\nVerified using v3 scheme (APK Signature Scheme v3): true\n",
    "dexdump": "0000: invoke-virtual {v0}, La;.b:()V\n",
    "aapt2": "package: org.edgewise.app\n",
    "zipalign": "",
}


@pytest.fixture
def apk(tmp_path) -> Path:
    sizes = {"classes.dex": 5_000, "lib/arm64-v8a/liba.so": 20_000, "assets/artifacts/a.tflite": 3_000}
    return zipped(tmp_path / "a.apk", {name: bytes(size) for name, size in sizes.items()})


def check(apk: Path, monkeypatch: pytest.MonkeyPatch, **printed: str) -> gates.Sizes:
    def run(program: str, *arguments: object) -> str:
        output = {**GOOD, **printed}[program]
        if output == "fails":
            raise tools.ToolFailed(program, 1, "Verification FAILED")
        return output

    monkeypatch.setattr(tools, "run", run)
    return gates.check(apk, "arm64-v8a", engine_code=1_000)


def test_a_good_apk_passes_and_its_parts_are_counted(apk, monkeypatch):
    sizes = check(apk, monkeypatch)
    assert (sizes.code, sizes.assets, sizes.whole) == (5_000, 3_000, apk.stat().st_size)


@pytest.mark.parametrize(
    ("program", "output", "words"),
    [
        ("apksigner", GOOD["apksigner"].replace("v3): true", "v3): false"), "no valid signature of scheme v3"),
        ("apksigner", "fails", "apksigner failed"),
        ("dexdump", GOOD["dexdump"] + "0002: invoke-custom {v0}, call_site_0\n", "holds 1 times invoke-custom in classes.dex"),
        ("dexdump", GOOD["dexdump"] + "0002: invoke-polymorphic {v0}\n", "holds 1 times invoke-polymorphic"),
        ("dexdump", "Opened classes.dex\n", "dexdump shows no code"),
        ("aapt2", GOOD["aapt2"] + "uses-permission: name='android.permission.INTERNET'\n", "asks for android.permission.INTERNET"),
        ("aapt2", GOOD["aapt2"] + "uses-permission-sdk-23: name='android.permission.CAMERA'\n", "asks for android.permission.CAMERA"),
        ("aapt2", "", "asks for what aapt2 does not tell"),
        ("zipalign", "fails", "zipalign failed"),
    ],
    ids=["signature", "unsigned", "custom", "polymorphic", "no code", "internet", "newer", "nothing", "alignment"],
)  # fmt: skip
def test_what_is_wrong_is_refused(apk, monkeypatch, program, output, words):
    with pytest.raises(EdgewiseError, match=words):
        check(apk, monkeypatch, **{program: output})


@pytest.mark.parametrize(
    ("budget", "limit", "words"),
    [
        ("CODE_BYTES", 3_999, "a.apk has 4,000 bytes of code and resources of its own, more than 3,999"),
        ("ABI_BYTES", {"arm64-v8a": 25_000}, "without artifacts, more than 25,000 for arm64-v8a"),
    ],
)
def test_an_apk_beyond_its_budget_is_refused(apk, monkeypatch, budget, limit, words):
    monkeypatch.setattr(gates, budget, limit)
    with pytest.raises(EdgewiseError, match=words):
        check(apk, monkeypatch)
