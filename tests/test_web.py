"""`keras-frm web`: the files of the page, its server, its mistakes in one line."""

import contextlib
import http.client
import json
import os
import re
import runpy
import socket
import sys
import threading
import webbrowser
import zlib

import pytest
from test_cli import keras_frm
from test_import_order import ROOT
from test_segmenter import about
from tflite_files import uint8_mask

from keras_frm.errors import ArgumentError
from keras_frm.runtime.tflite.metadata_zip import attach
from keras_frm.web.server import HOST, PageServer
from keras_frm.web.site import HEADERS, PAGE, site_files, write_site
from keras_frm.weights.shipped import default_weights

MOST_BYTES_MORE = 6e6  # of the wheel


@pytest.fixture
def model(tmp_path):
    """A file that the page can run."""
    path = tmp_path / "street.tflite"
    path.write_bytes(attach(uint8_mask(), about("mask")))
    return path


@contextlib.contextmanager
def serving(files):
    with PageServer(files, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def answer(server, address, host=None, method="GET"):
    """Return status, headers and content of an address."""
    connection = http.client.HTTPConnection(HOST, server.server_port, timeout=30)
    headers = {} if host is None else {"Host": host}
    connection.request(method, address, headers=headers)
    response = connection.getresponse()
    return response.status, dict(response.getheaders()), response.read()


# === Files ===


def test_the_page_and_the_model_are_among_the_files(model):
    files = site_files(model, "terms")
    assert files["street.tflite"] == model.read_bytes()
    assert json.loads(files["site.json"]) == {
        "model": "street.tflite",
        "notice": "terms",
    }
    for name in ("litert/LICENSE", "litert/THIRD_PARTY_NOTICES.txt", "page.js"):
        assert files[name]


def test_everything_that_the_page_loads_is_there(model):
    files = site_files(model)
    assert '<script type="module" src="page.js">' in files["index.html"].decode()
    scripts = {name: files[name].decode() for name in files if name.endswith(".js")}
    for name, text in scripts.items():
        folder = name.rpartition("/")[0]
        imported = re.findall(r'(?:from|import\()\s*"(\./[\w./]+)"', text)
        for other in imported:
            assert f"{folder}/{other[2:]}".lstrip("/") in files, (name, other)
    for build in ("threaded", "compat"):
        for ending in ("js", "wasm"):
            assert f"litert/litert_wasm_{build}_internal.{ending}" in files


def test_what_the_page_loads_names_no_other_host():
    for path in PAGE.iterdir():
        if path.suffix in (".js", ".css"):
            assert "://" not in path.read_text(), path.name
    loaded = re.findall(r'src="[^"]*|<link[^>]*', (PAGE / "index.html").read_text())
    assert len(loaded) == 3
    assert "://" not in "".join(loaded)


def test_the_wheel_grows_by_less_than_is_allowed():
    files = [path.read_bytes() for path in PAGE.rglob("*") if path.is_file()]
    assert sum(len(zlib.compress(content)) for content in files) < MOST_BYTES_MORE


def test_the_page_itself_has_the_policy_that_the_server_sends():
    text = (PAGE / "index.html").read_text()
    policy = re.search(r'Content-Security-Policy"\s+content="([^"]*)"', text)[1]
    assert policy == HEADERS["Content-Security-Policy"]
    assert "unsafe-inline" not in policy
    assert "'unsafe-eval'" not in policy
    assert "http" not in policy


def test_scripts_of_litert_say_that_they_were_changed():
    for name in ("litert.js", "wasm_utils.js"):
        first = (PAGE / "litert" / name).read_text()[:300]
        assert "Apache-2.0. Changed for keras_frm" in first


def test_a_folder_for_a_host(model, tmp_path):
    folder = tmp_path / "site"
    files = site_files(model)
    write_site(files, folder)
    written = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert written == files
    for name, value in HEADERS.items():
        assert f"  {name}: {value}\n" in (folder / "_headers").read_text()
    write_site(files, folder)  # again, over itself


def test_other_files_in_the_folder_stay(model, tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("mine")
    with pytest.raises(ArgumentError, match="site holds other files; name another"):
        write_site(site_files(model), tmp_path / "site")
    assert [path.name for path in (tmp_path / "site").iterdir()] == ["index.html"]


# === Server ===


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/page.js?again", "text/javascript; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
        ("/litert/litert_wasm_compat_internal.wasm", "application/wasm"),
        ("/street.tflite", "application/octet-stream"),
        ("/litert/LICENSE", "text/plain; charset=utf-8"),
    ],
)
def test_files_come_with_their_type_and_the_headers(model, address, kind):
    with serving(site_files(model)) as server:
        status, headers, content = answer(server, address)
        _, _, nothing = answer(server, address, method="HEAD")
    assert status == 200
    assert headers["Content-Type"] == kind
    assert HEADERS.items() <= headers.items()
    assert len(content) == int(headers["Content-Length"]) > 0
    assert nothing == b""


@pytest.mark.parametrize(
    "address",
    ["/nothing.js", "/../site.py", "/%2e%2e/site.py", "//etc/passwd", "/litert"],
)
def test_nothing_else_is_given(model, address):
    with serving(site_files(model)) as server:
        status, headers, _ = answer(server, address)
    assert status == 404
    assert HEADERS.items() <= headers.items()


def test_pages_of_other_names_get_nothing(model):
    with serving(site_files(model)) as server:
        port = server.server_port
        for host in (f"localhost:{port}", HOST):
            assert answer(server, "/", host)[0] == 200
        assert answer(server, "/", f"evil.example:{port}")[0] == 404


def test_a_browser_that_goes_away_is_not_talked_about(model, capfd):
    with serving(site_files(model)) as server:
        for _ in range(3):
            with socket.create_connection((HOST, server.server_port)) as connection:
                address = b"/litert/litert_wasm_threaded_internal.wasm"
                host = f"Host: {HOST}\r\n\r\n".encode()
                connection.sendall(b"GET " + address + b" HTTP/1.1\r\n" + host)
                connection.recv(100)
        assert answer(server, "/")[0] == 200
    assert capfd.readouterr().err == ""


def test_a_port_that_is_taken():
    with (
        PageServer({}, 0) as server,
        pytest.raises(
            ArgumentError, match=r"Cannot serve at port .*; pass another port"
        ),
    ):
        PageServer({}, server.server_port)


def test_a_port_is_free_again_at_once():
    with serving({"index.html": b"page"}) as server:
        port = server.server_port
        connection = http.client.HTTPConnection(HOST, port, timeout=30)
        # The side that closes first keeps the port waiting.
        connection.request("GET", "/", headers={"Connection": "close"})
        assert connection.getresponse().read() == b"page"
    with PageServer({}, port) as server:
        assert server.server_port == port


# === Command ===


def serve_once(monkeypatch):
    """Let the server end at once, as by Ctrl-C; returns the addresses it opened."""
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)

    def interrupted(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(PageServer, "serve_forever", interrupted)
    return opened


def test_the_page_is_opened_and_ctrl_c_ends(model, monkeypatch):
    opened = serve_once(monkeypatch)
    done = keras_frm("web", model, "--port", 0)
    assert done.code == 0, done.err
    assert opened == [re.search(r"http://127\.0\.0\.1:\d+/", done.out)[0]]
    assert keras_frm("web", model, "--port", 0, "--no-open").code == 0
    assert len(opened) == 1


def test_without_a_model_it_is_the_shipped_file(monkeypatch, tmp_path):
    done = keras_frm("web", "--out", tmp_path / "site")
    assert done.code == 0, done.err
    shipped = default_weights()
    about_page = json.loads((tmp_path / "site" / "site.json").read_text())
    assert about_page["model"] == shipped.device
    assert shipped.licence in about_page["notice"]
    assert shipped.licence in done.err
    assert str(tmp_path / "site" / "index.html") in done.out


def mistakes(folder, model):
    """Return what is given, and what the one line says."""
    (folder / "notes.tflite").write_text("no model")
    (folder / "foreign.tflite").write_bytes(uint8_mask())
    (folder / "cut.tflite").write_bytes(model.read_bytes()[:-9])
    (folder / "logits.tflite").write_bytes(attach(uint8_mask(), about("logits")))
    return {
        "gone.tflite": "There is no file",
        "notes.tflite": "it is no .tflite file",
        "foreign.tflite": "it names no classes",
        "cut.tflite": "cut.tflite': it names no classes",
        "logits.tflite": "it gives logits; export one with --output mask",
    }


def test_mistakes_are_one_line(model, tmp_path):
    for name, said in mistakes(tmp_path, model).items():
        done = keras_frm("web", tmp_path / name, "--no-open", "--port", 0)
        assert said in done.only_line, name


def test_a_taken_port_and_a_full_folder_name_the_options(model, tmp_path):
    with PageServer({}, 0) as server:
        done = keras_frm("web", model, "--no-open", "--port", server.server_port)
    assert "pass another --port" in done.only_line
    done = keras_frm("web", model, "--out", tmp_path)
    assert "holds other files; name another with --out" in done.only_line


# === The script that makes the package's data ===


def fake_npm(folder, content):
    """Put an npm before others that packs other archives."""
    script = folder / "npm"
    script.write_text(
        f"#!/bin/sh\nprintf '{content}' > archive.tgz\necho archive.tgz\n"
    )
    script.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.skipif(sys.platform == "win32", reason="writes a shell script")
def test_another_archive_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", fake_npm(tmp_path, "other"))
    monkeypatch.setattr(sys, "argv", ["script", "--out", str(tmp_path / "out")])
    script = ROOT / "converters" / "litert_from_npm.py"
    with pytest.raises(SystemExit, match="is another archive: its SHA-512 is"):
        runpy.run_path(str(script), run_name="__main__")
    assert list((tmp_path / "out").iterdir()) == []


def test_without_npm_one_line_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["script", "--out", str(tmp_path / "out")])
    script = ROOT / "converters" / "litert_from_npm.py"
    with pytest.raises(SystemExit, match="There is no npm here"):
        runpy.run_path(str(script), run_name="__main__")
