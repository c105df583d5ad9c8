"""Put the runtime of `keras-frm web` into the package, from its npm archives.

python converters/litert_from_npm.py [--out keras_frm/web/page/litert]

Needs npm. Asks it for the archives of two packages of one version, checks their
SHA-512, and writes what the page loads: two builds of LiteRT for WebAssembly, with
threads and without, and the JavaScript around them. The JavaScript is changed where
CHANGES says so, and its first lines tell.
"""

import argparse
import base64
import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VERSION = "2.5.3"
DIGESTS = {
    "@litertjs/core": "PlGmbMOq9WitX7FO0jhbdJw9GthatsyuCQXjTt/wJZo0FLaw48q4tz8IwqgqCIk"
    "viYGr9OFDL1kCnN4nzWoyJQ==",
    "@litertjs/wasm-utils": "4fJiw6tBQnIs+0jH/OQ16nYOiSl8/+zZnn5h2ul8aTKHi05sVqZW580Tmk"
    "78pC2kT39A9OYBVdFawteZ/sI1kQ==",
}

# File of the package -> its archive and its path there.
FILES = {
    "litert.js": ("@litertjs/core", "dist/index.js"),
    "wasm_utils.js": ("@litertjs/wasm-utils", "dist/index.js"),
    **{
        name: ("@litertjs/core", f"wasm/{name}")
        for build in ("threaded", "compat")
        for name in (
            f"litert_wasm_{build}_internal.js",
            f"litert_wasm_{build}_internal.wasm",
        )
    },
}

NOTICE = f"""\
// npm @litertjs/{{package}} {VERSION}, {{path}}, Apache-2.0. Changed for keras_frm by
// converters/litert_from_npm.py: {{what}}.
"""
SOURCE_MAP = ("\n//# sourceMappingURL=index.js.map", "")
# File -> what is changed, and the texts that are replaced.
CHANGES = {
    "litert.js": (
        "wasm-utils by its file, no WebGPU device, no source map",
        # Workers know no import maps, by which a browser would find a bare name.
        ('from "@litertjs/wasm-utils"', 'from "./wasm_utils.js"'),
        # The page computes by WebAssembly; a device that is not used costs power.
        (
            "await Environment.create()",
            "await Environment.create({webGpuDevice: null})",
        ),
        SOURCE_MAP,
    ),
    "wasm_utils.js": ("no source map", SOURCE_MAP),
}


def main():
    """Write the files of the runtime."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(__file__).parents[1] / "keras_frm" / "web" / "page" / "litert"
    parser.add_argument("--out", type=Path, default=default)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        archives = {
            name: packed(name, digest, folder) for name, digest in DIGESTS.items()
        }
        for name, (package, path) in FILES.items():
            content = member(archives[package], path)
            if name in CHANGES:
                content = changed(content.decode(), name, package, path).encode()
            (out / name).write_bytes(content)
            print(f"{out / name}: {len(content)} bytes")


def packed(package, digest, folder):
    """Return the archive of a package as npm has it; stops where it is another one."""
    command = ["npm", "pack", "--silent", f"{package}@{VERSION}"]
    try:
        done = subprocess.run(
            command, cwd=folder, check=True, capture_output=True, text=True
        )
    except FileNotFoundError:
        sys.exit("There is no npm here: install Node.js, which brings it.")
    except subprocess.CalledProcessError as error:
        sys.exit(f"{' '.join(command)} failed: {error.stderr.strip()}")
    archive = Path(folder) / done.stdout.strip().splitlines()[-1]
    found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != digest:
        sys.exit(f"{package} {VERSION} is another archive: its SHA-512 is {found}.")
    return archive


def member(archive, path):
    """Return a file of an npm archive."""
    with tarfile.open(archive) as files:
        return files.extractfile(f"package/{path}").read()


def changed(text, name, package, path):
    """Return a script with its changes, each of which must have its place once."""
    what, *replacements = CHANGES[name]
    for old, new in replacements:
        if text.count(old) != 1:
            sys.exit(f"{package} {VERSION}, {path}: {old!r} is not there once.")
        text = text.replace(old, new)
    title = package.removeprefix("@litertjs/")
    return NOTICE.format(package=title, path=path, what=what) + text.rstrip() + "\n"


if __name__ == "__main__":
    main()
