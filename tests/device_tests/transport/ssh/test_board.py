"""What is put on a board, over a real ssh server; why it cannot be, in a sentence."""

import os
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from device_tests import devices
from device_tests.transport.ssh.board import STATE, parse_state
from device_tests.transport.ssh.client import Unreachable
from models.common import environments, files
from models.common.errors import EnvironmentMissing, UsageError
from tests import programs
from tests.conftest import zipped
from tests.device_tests.conftest import type_in
from tests.device_tests.transport.ssh.conftest import make_key, running

OWN_INDEX = {"PIP_CONFIG_FILE": "/dev/null", "PIP_FIND_LINKS": ""}  # this machine's settings of pip do not count


def test_what_is_no_address_is_refused_and_one_has_runtimes_and_cells_without_a_connection(monkeypatch, capsys):
    monkeypatch.setattr(subprocess, "Popen", None)
    for name in ("ssh:", "ssh:-oProxyCommand=id", "ssh:a b", "ssh:pi@", "ssh:pi@host:port", "ssh:a;id"):
        with pytest.raises(UsageError, match="ssh:pi@raspberrypi"):
            devices.device(name)
    for name in ("ssh:pi", "ssh:pi@raspberrypi.local:2222", "ssh:a.b-c@[fe80::1%eth0]:22", "ssh:NAME"):
        runtimes = set(devices.device(name).runtimes)
        assert {"litert", "onnxruntime", "executorch", "tflite_runtime"} <= runtimes
        assert not {"torch", "tensorflow"} & runtimes

    arguments = ["--device", "ssh:nobody@nowhere.invalid", "--list", "--only", "torch_cnn_small-tflite-int8@litert@*"]
    assert type_in("ssh", *arguments) == 0
    assert capsys.readouterr().out == "torch_cnn_small-tflite-int8@litert@ssh:nobody@nowhere.invalid\n"


def test_a_raspberry_pis_state_is_read_and_a_row_tells_what_bears_on_its_times(tmp_path):
    """As Linux shows it on a Pi 4: the model ends in a zero byte, temperatures are in thousandths of a degree."""
    for path, content in {
        "proc/device-tree/model": b"Raspberry Pi 4 Model B Rev 1.4\0",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": b"ondemand\n",
        "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor": b"ondemand\n",
        "sys/class/thermal/thermal_zone0/type": b"cpu-thermal\n",
        "sys/class/thermal/thermal_zone0/temp": b"48686\n",
        "sys/class/thermal/thermal_zone1/temp/cannot be read": b"",
    }.items():
        files.write_bytes(tmp_path / path, content)
    done = subprocess.run(["sh", "-c", STATE, "sh", tmp_path], capture_output=True, text=True, check=True)
    state = parse_state(done.stdout)
    assert state.pop("kernel").startswith("Linux ")
    pi = {"model": "Raspberry Pi 4 Model B Rev 1.4", "governors": ["ondemand"]}
    assert state == {**pi, "temperatures_c": {"cpu-thermal": 48.686}}
    assert done.stderr == ""

    remote = devices.device("ssh:NAME")
    remote.board.state = lambda: {"kernel": "Linux 6.6", "temperatures_c": {"cpu-thermal": 61.5}}
    row = {"environment": {"cpu": "Cortex-A72"}, "notes": []}
    remote._describe(row, {"kernel": "Linux 6.6", **state})
    temperatures = {"before": {"cpu-thermal": 48.686}, "after": {"cpu-thermal": 61.5}}
    assert row == {
        "environment": {"cpu": "Cortex-A72", "kernel": "Linux 6.6", **pi, "temperatures_c": temperatures},
        "notes": ["the frequency governor is ondemand: times wander with the load"],
    }


def why(device, runtime: str = "litert", kind: type[EnvironmentMissing] = Unreachable) -> str:
    """Return why a device cannot run a runtime: one paragraph that names the device."""
    with pytest.raises(kind) as error:
        device.require(runtime)
    message = str(error.value)
    assert device.name in message
    assert "\n" not in message
    return message


@pytest.mark.slow
def test_a_host_that_does_not_exist_host_keys_that_are_not_known_and_a_key_that_is_not_accepted(board, tmp_path):
    key = make_key(tmp_path / "key").with_suffix(".pub").read_text()
    with running(tmp_path / "other") as other:
        hosts = other.folder / "known_hosts"
        trusted = hosts.read_text()
        hosts.write_text("")
        unknown = why(board(other))  # and ssh asks nobody
        hosts.write_text(f"[127.0.0.1]:{other.port} {key}")
        imposter = why(board(other, name=f"ssh:127.0.0.1:{other.port}"))
        hosts.write_text(trusted)
        (other.folder / "user.pub").write_text(key)
        refused = why(board(other, name=f"ssh:127.0.0.1:{other.port}"))
    assert "there is no host of this name" in why(board(name="ssh:pi@no-such-host.invalid"))
    assert f"its host key is not known here. Look at it, and accept it, with: ssh -F {other.config} board" in unknown
    assert "its host key is not the one that is known here" in imposter
    assert f"ssh-keygen -R '[127.0.0.1]:{other.port}'" in imposter
    remedy = f"Give it one with: ssh-copy-id -p {other.port} 127.0.0.1"
    assert f"it accepts none of the keys that ssh offers. {remedy}" in refused


@pytest.mark.needs("ssh")
def test_an_ipv6_address_reaches_ssh_without_its_brackets_and_without_a_client_here_it_says_what_to_install(
    monkeypatch,
):
    remote = devices.device("ssh:pi@[fe80::1]:2222")
    argv = remote.board.client.argv("true")
    assert "pi@fe80::1" in argv
    assert argv[argv.index("-p") + 1] == "2222"
    monkeypatch.setenv("PATH", "/nowhere")
    assert "apt-get install openssh-client" in why(remote, kind=EnvironmentMissing)


@pytest.mark.slow
def test_no_python_there_and_a_login_shell_that_prints(board, tmp_path):
    (tmp_path / "bin").mkdir()
    for command in ("sh", "mkdir"):
        (tmp_path / "bin" / command).symlink_to(f"/bin/{command}")
    with running(tmp_path / "bare", PATH=str(tmp_path / "bin"), HOME=str(tmp_path)) as bare:
        message = why(board(bare), kind=EnvironmentMissing)
    assert message.startswith("There is no Python 3 on ssh:board. ")
    assert "apt-get install python3 python3-venv" in message
    with running(tmp_path / "other", 'ForceCommand echo Welcome; eval "$SSH_ORIGINAL_COMMAND"') as other:
        assert "says 'Welcome" in why(board(other), kind=EnvironmentMissing)


@pytest.mark.slow
def test_a_python_there_that_makes_no_environments(board, pin, tmp_path):
    """Debian's says this without the package python3-venv."""
    refuses = 'echo "$0: No module named ensurepip" >&2; exit 1'
    makes = f"""mkdir -p "$4/bin"; echo '{refuses}' >"$4/bin/python"; chmod +x "$4/bin/python" """
    code = f'case $2 in venv) {makes};; *) echo "$0 3.11.2 aarch64";; esac'
    programs.script(tmp_path / "bin" / "python3.11", code)
    with running(tmp_path / "other", PATH=f"{tmp_path}/bin:/usr/bin:/bin", HOME=str(tmp_path)) as other:
        message = why(board(other, home=tmp_path / "home"), pin("any"), EnvironmentMissing)
    assert "apt-get install python3.11-venv" in message


@pytest.mark.slow
def test_pins_without_a_wheel_for_the_boards_python_are_not_tried_for_each_cell(board, pin, capsys):
    remote = board()
    name = pin("old", "numpy==1.19.5")  # whose last wheels are of Python 3.9
    message = why(remote, name, EnvironmentMissing)
    assert why(remote, name, EnvironmentMissing) == message
    assert "old cannot be installed on ssh:board, which has Python 3." in message
    assert "No matching distribution found for numpy==1.19.5" in message
    assert "The pins are made for Python 3.11" in message
    assert capsys.readouterr().out.count("installing 1 packages") == 1


@pytest.mark.slow
def test_a_board_without_a_network_gets_its_wheels_from_here(board, pin, tmp_path, capsys):
    with running(tmp_path / "other", PIP_NO_INDEX="1", **OWN_INDEX) as other:
        remote = board(other, home=tmp_path / "home")
        remote.require(pin("away"))
        assert any(package.startswith("numpy-") for package in remote.pins("away"))
    assert "its own pip fails" in capsys.readouterr().out


@pytest.mark.slow
def test_a_board_takes_pytorch_from_its_own_index_where_no_other_has_the_cpu_build(board, pin, tmp_path, monkeypatch):
    wheel = tmp_path / "served" / "cpu" / "torch" / "torch-0.0.1+cpu-py3-none-any.whl"
    wheel.parent.mkdir(parents=True)
    about = {
        "METADATA": "Metadata-Version: 2.1\nName: torch\nVersion: 0.0.1+cpu\n",
        "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "",
    }
    zipped(wheel, {f"torch-0.0.1+cpu.dist-info/{name}": content for name, content in about.items()})
    serve = partial(SimpleHTTPRequestHandler, directory=tmp_path / "served")
    with ThreadingHTTPServer(("127.0.0.1", 0), serve) as index:
        Thread(target=index.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{index.server_port}"
        monkeypatch.setattr(environments, "TORCH_CPU_INDEX", f"{address}/cpu")
        with running(tmp_path / "other", PIP_INDEX_URL=f"{address}/other", **OWN_INDEX) as other:
            remote = board(other, home=tmp_path / "home")
            remote.require(pin("torchy", "torch==0.0.1+cpu"))
            assert "torch-0.0.1+cpu.dist-info" in remote.pins("torchy")
        index.shutdown()


@pytest.mark.slow
def test_an_interrupted_installation_ends_there_too(board, pin, tmp_path):
    """pip asks an index that never answers, and lets go of it when it ends."""
    with socket.create_server(("127.0.0.1", 0)) as index, ThreadPoolExecutor() as pool:
        address = f"http://127.0.0.1:{index.getsockname()[1]}"
        with running(tmp_path / "other", PIP_INDEX_URL=address, **OWN_INDEX) as other:
            remote = board(other, home=tmp_path / "home")
            waits = pool.submit(why, remote, pin("waits"))
            connection, _ = index.accept()
            remote.stop()
            assert "interrupted" in waits.result()
            connection.settimeout(30)
            while connection.recv(1 << 16):
                pass


@pytest.mark.slow
def test_no_space_there(board, pin, tmp_path):
    name, small = pin("large"), tmp_path / "small"
    small.mkdir()
    if os.geteuid():
        programs.absent("needs root, who may mount a small file system")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "none", small], check=True)
    try:
        message = why(board(home=small), name, EnvironmentMissing)
        assert not list(small.rglob("bin"))  # what was begun is not left there
    finally:
        subprocess.run(["umount", small], check=True)
    remedy = "Free some, or name a folder on another disk in EDGEWISE_REMOTE_HOME."
    assert message == f"ssh:board has no space left. {remedy}"


@pytest.mark.slow
def test_files_are_sent_once_verified_there_and_sent_again_where_they_are_damaged(board, tmp_path):
    content = tmp_path / "content"
    content.write_bytes(b"7" * 100_000)

    def push() -> Path:
        return Path(board().board.push({"it.bin": content}))

    first = push()
    assert first.name not in ("", content.name)
    copy = first / "it.bin"
    assert copy.read_bytes() == content.read_bytes()
    sent = copy.stat().st_ino
    assert push() == first
    assert copy.stat().st_ino == sent
    copy.write_bytes(b"8" + content.read_bytes()[1:])
    assert push() == first
    assert copy.read_bytes() == content.read_bytes()
    content.write_bytes(b"9")
    assert push() != first
