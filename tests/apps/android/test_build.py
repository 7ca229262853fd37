"""What the build of the Android app decides before any tool runs, and what it refuses."""

import re
import struct
from pathlib import Path

import pytest
from click.testing import CliRunner

from apps.android import assets, build, compile, engines, gates, jars, package, tools, versions
from apps.android.__main__ import android
from models.common import files
from models.common.errors import DataError, EdgewiseError, EnvironmentMissing, UsageError
from tests.conftest import zipped
from tests.device_tests.conftest import artifact


def resolved(name: str = "litert", **facts) -> engines.Resolved:
    """Return an engine without code and libraries, but for the facts."""
    empty = {"coordinates": "a:b", "version": "1", "classes": (), "libraries": {}, "unpinned": ()}
    return engines.Resolved(id=name, **(empty | facts))


def request(folder: Path, *patterns: str, abis: tuple[str, ...] = ()) -> build.Request:
    return build.Request(engines=("litert", "onnxruntime"), archives={}, abis=abis, artifacts=folder, patterns=patterns,
                         key=None, target=folder)  # fmt: skip


def library(*alignments: int) -> bytes:
    """Return an ELF file of 64 bits, of headers only, with a segment that is loaded of each alignment."""
    head = struct.pack("<4sBBB25xQ8x4xHHH6x", b"\x7fELF", 2, 1, 1, 64, 64, 56, len(alignments))
    return head + b"".join(struct.pack("<I44xQ", 1, alignment) for alignment in alignments)


def test_libraries_that_do_not_load_on_large_pages_are_named_but_not_those_of_32_bits():
    large = {"a.so": library(0x8000, 0x1000), "b.so": library(0x4000, 0x8000)}
    one = resolved(libraries={"arm64-v8a": large, "armeabi-v7a": {"a.so": library(0x1000)}})
    assert one.small_pages("arm64-v8a") == ("a.so",)
    assert one.small_pages("armeabi-v7a") == one.small_pages("x86_64") == ()


@pytest.mark.parametrize(
    "content", [b"", b"\x7fELF", b"PK" * 100, b"\x7fELF\x02\x02" + bytes(100), library(0x1000)[:70], library()], ids=len
)
def test_what_is_no_library_is_told(content):
    with pytest.raises(DataError, match=r"a\.so is no shared library"):
        resolved(libraries={"x86_64": {"a.so": content}}).small_pages("x86_64")


def test_an_archive_on_disk_replaces_the_download(tmp_path, monkeypatch):
    monkeypatch.setattr(jars, "fetch", lambda name, libraries: pytest.fail(f"{libraries} was fetched"))
    libraries = {"jni/arm64-v8a/liba.so": library(0x4000), "jni/mips/liba.so": b"none of ours"}
    own = zipped(tmp_path / "own.aar", {"classes.jar": b"classes", **libraries})
    one = engines.resolve("onnxruntime", (own,), tmp_path / "scratch")
    assert [path.read_bytes() for path in one.classes] == [b"classes"]
    assert {abi: set(libraries) for abi, libraries in one.libraries.items()} == {"arm64-v8a": {"liba.so"}}
    assert one.version.startswith("own.aar, SHA-256 ")
    assert one.abis == ("arm64-v8a",)  # so it is left out of the others' APKs


def test_of_several_archives_each_may_have_the_libraries(tmp_path):
    api = zipped(tmp_path / "api.aar", {"classes.jar": b""})
    engine = zipped(tmp_path / "engine.aar", {"jni/x86_64/liba.so": b"", "jni/armeabi-v7a/liba.so": b""})
    assert engines.resolve("litert", (api, engine), tmp_path / "scratch").abis == ("armeabi-v7a", "x86_64")


def test_what_is_no_archive_or_one_without_a_library_for_a_phone_is_refused(tmp_path):
    file = zipped(tmp_path / "a.jar", {"ai/onnxruntime/native/linux-x64/libonnxruntime.so": b""})
    lacks = r"a.jar has no library of onnxruntime .* com.microsoft.onnxruntime:onnxruntime-android"
    with pytest.raises(DataError, match=lacks):
        engines.resolve("onnxruntime", (file,), tmp_path / "scratch")
    file.write_bytes(b"no zip")
    with pytest.raises(DataError, match=r"a\.jar is no archive of an engine"):
        engines.resolve("onnxruntime", (file,), tmp_path)


@pytest.fixture
def executorch(tmp_path) -> engines.Resolved:
    """An archive whose Module has another method than the adapter calls, and that has no EValue."""
    source, classes = tmp_path / "Module.java", tmp_path / "archive"
    source.write_text("package org.pytorch.executorch; public class Module { public void loadMethod(String name) {} }")
    classes.mkdir()
    tools.run("javac", "-d", classes, source)
    about = {"coordinates": "org.pytorch:executorch-android", "version": "own.aar, SHA-256 0123"}
    return resolved("executorch", classes=(classes,), **about)


@pytest.mark.needs("javac")
@pytest.mark.parametrize(
    ("body", "lacks"),
    [
        ("EValue value = new EValue();", "symbol class EValue, and 1 more. Take org.pytorch:executorch-android:"),
        ("module.forward(1);", r"cannot find symbol method forward\(int\). Take"),
        ('int code = module.loadMethod("forward");', "incompatible types: void cannot be converted to int. Take"),
    ],
    ids=["class", "method", "type"],
)
def test_what_an_adapter_calls_and_an_archive_lacks_is_a_sentence(executorch, tmp_path, body, lacks):
    adapter = tmp_path / "ExecuTorch.java"
    imports = "import org.pytorch.executorch.*; import org.pytorch.executorch.Module;"
    adapter.write_text(f"{imports} class ExecuTorch {{ void load(Module module) {{ {body} }} }}")
    sentence = rf"The archive of executorch \(own.aar, SHA-256 0123\) does not fit .*{lacks}"
    with pytest.raises(DataError, match=sentence) as caught:
        compile.javac((adapter,), executorch.classes, tmp_path / "out", (executorch,))
    assert "\n" not in str(caught.value)


@pytest.mark.needs("javac")
def test_an_error_in_the_apps_own_sources_keeps_the_compilers_words(executorch, tmp_path):
    own = tmp_path / "Own.java"
    own.write_text("class Own { int x = nothing; }")
    with pytest.raises(tools.ToolFailed, match="javac failed with exit code 1"):
        compile.javac((own,), (), tmp_path / "out", (executorch,))


@pytest.mark.needs("javac")
def test_a_class_that_no_archive_has_is_reported(monkeypatch, tmp_path, executorch):
    printed = ("Warning: Missing class kotlin.jvm.internal.Intrinsics (referenced from: void a.Module.load(int) and 5 other contexts)\n"
               "Missing class a.B (referenced from: a.C)\n")  # fmt: skip
    monkeypatch.setattr(compile, "jar", lambda alias: Path(alias))
    monkeypatch.setattr(tools, "run", lambda *arguments: printed)
    assert compile.r8(tmp_path / "app.jar", (executorch,), tmp_path / "rules", tmp_path / "dex") == (
        "the class kotlin.jvm.internal.Intrinsics is in none of the archives, though it is needed by void a.Module.load(int)",
        "the class a.B is in none of the archives, though it is needed by a.C",
    )


def test_an_abi_without_an_engine_has_no_apk_and_none_at_all_is_an_error(monkeypatch, tmp_path):
    parts = build.Parts(resolved=(resolved(abis=("x86_64",)),), left_out={}, packed={}, linked=None, dex=tmp_path, classes={}, digest="d")  # fmt: skip
    monkeypatch.setattr(tools, "require", lambda: None)
    monkeypatch.setattr(package, "debug_key", lambda: None)
    monkeypatch.setattr(build, "_parts", lambda request, report: parts)
    monkeypatch.setattr(build, "_apk", lambda abi, *_: abi)
    lines: list[str] = []
    assert build.build(request(tmp_path, abis=("arm64-v8a", "x86_64")), lines.append) == ("x86_64",)
    assert lines == ["no APK for arm64-v8a: no engine of this build has a library for it"]
    with pytest.raises(EdgewiseError, match="No engine of this build has a library for arm64-v8a"):
        build.build(request(tmp_path, abis=("arm64-v8a",)), lines.append)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--engines", "tflite"], "There is no engine called 'tflite'. Did you mean litert"),
        (["--aar", "onnxruntime"], "is not ENGINE=FILE"),
        (["--aar", "onnxruntime=none.aar"], "There is no file none.aar"),
        (["--aar", f"litert={__file__}", "--engines", "onnxruntime"], "has no effect without litert in --engines"),
        (["--key", "mine"], "--key goes with --keystore only"),
        (["--keystore", __file__], f"export {package.PASSWORD}=..."),
    ],
    ids=str,
)  # fmt: skip
def test_options_that_make_no_sense_are_refused_before_anything_is_fetched(arguments, words, monkeypatch):
    monkeypatch.setattr(jars, "fetch", lambda name, libraries: pytest.fail("something was fetched"))
    monkeypatch.delenv(package.PASSWORD, raising=False)
    done = CliRunner().invoke(android, arguments)
    assert isinstance(done.exception, UsageError), done.output
    assert words in str(done.exception)


@pytest.mark.parametrize("program", sorted(tools.PACKAGES))
def test_a_missing_tool_is_a_sentence_with_its_package(program, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("ANDROID_HOME", raising=False)
    install = f"There is no {program}.*sudo apt-get install {tools.PACKAGES[program]}"
    with pytest.raises(EnvironmentMissing, match=install):
        tools.find(program)


def test_the_newest_tools_of_an_sdk_come_first_and_without_one_the_frameworks_package_is_named(monkeypatch, tmp_path):
    for version in ("9.0.0", "34.0.0", "35.0.0-rc1"):
        files.write_bytes(tmp_path / "build-tools" / version / "aapt2", b"")
    files.write_bytes(tmp_path / "platforms" / "android-35" / "android.jar", b"")
    monkeypatch.setenv("ANDROID_HOME", str(tmp_path))
    assert tools.find("aapt2").endswith("35.0.0-rc1/aapt2")
    assert tools.framework() == tmp_path / "platforms" / "android-35" / "android.jar"
    monkeypatch.delenv("ANDROID_HOME")
    monkeypatch.setattr(tools, "FRAMEWORK", tmp_path / "none.apk")
    with pytest.raises(EnvironmentMissing, match="sudo apt-get install android-framework-res"):
        tools.framework()


def test_a_download_that_is_not_what_is_pinned_is_refused(monkeypatch, tmp_path):
    file = tmp_path / "r8-1.jar"
    file.write_bytes(b"changed on the way")
    monkeypatch.setenv("EDGEWISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(jars, "_resolve", lambda name, libraries: (file,))
    monkeypatch.setattr(jars, "pinned", lambda: {"r8-1.jar": "0" * 64})
    with pytest.raises(DataError, match="is not what is pinned"):
        jars.fetch("build", versions.bundle("build"))
    monkeypatch.setattr(jars, "pinned", dict)
    (jar,) = jars.fetch("build", versions.bundle("build"))
    assert not jar.pinned


def test_everything_that_the_build_and_the_tests_download_is_pinned():
    names = "\n".join(["", *jars.pinned()])
    for bundle in ("build", "litert", "tests", "emulator"):
        for one in versions.bundle(bundle):
            assert f"\n{one.name}-{one.version}." in names


def test_mavens_own_reason_is_told_without_an_address_and_without_maven_what_to_install(monkeypatch, tmp_path):
    output = ("[ERROR] Failed to execute goal on project fetch: Could not resolve dependencies: a.b:c:aar:1.0 was not found in "
            "https://somewhere/else during a previous attempt -> [Help 1]\n")  # fmt: skip
    assert jars._reason(output) == "Maven does not find a.b:c:1.0."
    reason = jars._reason("[ERROR] Unknown host https://somewhere/else now")
    assert reason == "Maven says: Unknown host the repository now."
    monkeypatch.setenv("EDGEWISE_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentMissing, match="sudo apt-get install maven"):
        jars.fetch("build", versions.bundle("build"))


def test_an_engine_that_cannot_be_had_is_left_out_with_a_line_and_none_at_all_is_an_error(monkeypatch, tmp_path):
    def resolve(name, archives, scratch):
        if name in served:
            return resolved(name, unpinned=("x.aar",))
        raise jars.NotServed("Maven does not find it.")

    monkeypatch.setattr(engines, "resolve", resolve)
    served, lines = ["litert"], []
    taken, left_out = build.resolve(request(tmp_path), lines.append)
    assert [one.id for one in taken] == ["litert"]
    assert set(left_out) == {"onnxruntime", "executorch"}
    assert re.search("onnxruntime is left out: Maven does not find it..*--aar onnxruntime=FILE", "\n".join(lines))
    assert any("x.aar is not pinned" in line for line in lines)
    served.clear()
    with pytest.raises(EdgewiseError, match="an app without an engine runs nothing"):
        build.resolve(request(tmp_path), lines.append)


def test_what_is_not_packed_and_what_its_engine_gets_wrong_are_said(monkeypatch, tmp_path):
    every = tuple(artifact(id) for id in ("a-tflite-int8", "a-tflite-int4", "a-onnx-int8"))

    def choose(folder, patterns, able):
        return tuple(one for one in every if assets.ENGINES[one.format] in able)

    monkeypatch.setattr(assets, "choose", choose)
    litert, left_out, lines = resolved(version="2.16.1"), {"onnxruntime": "no", "executorch": "no"}, []
    assert build._choose(request(tmp_path, "*"), (litert,), left_out, lines.append) == every[:2]
    assert lines[0] == "1 artifacts are not packed, for onnxruntime is left out: a-onnx-int8"
    assert lines[1].startswith("a-tflite-int4: litert 2.16.1 answers it with garbage")
    assert len(lines) == 2
    assert assets.warnings(every, {"litert": "1.4.0"}) == []


def test_adapters_of_engines_that_are_left_out_are_not_compiled():
    names = {path.name for path in compile.sources(("litert",))}
    assert {"LiteRt.java", "Engine.java"} <= names
    assert not {"OnnxRuntime.java", "ExecuTorch.java"} & names


def test_the_app_asks_for_no_permission_and_names_no_version_but_in_the_catalogue():
    manifest = (compile.MAIN / "AndroidManifest.xml").read_text()
    assert "uses-permission" not in manifest
    assert gates.PERMISSIONS == ()
    numbers = {versions.version(name) for name in ("r8", "tensorflow-lite", "robolectric", "onnxruntime")}
    assets_file = versions.HERE / "assets.py"  # which tells what is known of a version
    for path in {*versions.HERE.glob("*.py")} - {assets_file}:
        assert not [number for number in numbers if number in path.read_text()], path


def test_every_text_of_the_app_is_a_resource():
    layouts = sorted((compile.MAIN / "res").glob("layout*/*.xml"))
    assert {path.parent.name for path in layouts} == {"layout", "layout-land"}
    for path in layouts:
        content = path.read_text()
        for attribute in ("text", "contentDescription", "hint"):
            assert f'android:{attribute}="' not in content.replace(f'android:{attribute}="@string', ""), path
    for path in sorted((compile.MAIN / "java").rglob("ui/*.java")):
        shown = r'(?:setText|setTitle|setContentDescription|say|setError)\((?:[\w.]+, )*"([^"]*[A-Za-z]{2}[^"]*)"'
        assert not re.findall(shown, path.read_text()), path


def test_only_artifacts_that_an_engine_of_the_app_runs_are_packed(tmp_path):
    assert assets.choose(tmp_path, (), ("litert",)) == ()
    with pytest.raises(DataError, match="There are no artifacts"):
        assets.choose(tmp_path / "none", ("*",), ("litert",))
