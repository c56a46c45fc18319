"""Build localrag with its own Python and without PyTorch, for machines that have neither Python nor a compiler.

    make bundle         dist/localrag-VERSION-linux-x86_64.tar.gz, and a .deb with the same files
    make try-bundle     try it in an empty Debian, without Python and network

The folder can be put anywhere: the program that starts Python is compiled here, and finds the rest beside itself.
llama.cpp is built for each kind of processor, and chooses one when it starts. The default embedder is inside as ONNX;
other embedders have to be .gguf files. It needs a C library as new as that of the machine that built it.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import sysconfig
import tarfile
import tempfile
import tomllib
from importlib import metadata
from pathlib import Path

from localrag.settings import load_settings
from release import DIST, ROOT, build, commit_time, run, sha256

EMBEDDER = "all-minilm-l6-v2"
LEFT_OUT = ("torch", "sentence-transformers", "onnx")
EXTRAS = ("postgres", "keyring")
LLAMA = "-DGGML_NATIVE=OFF -DGGML_BACKEND_DL=ON -DGGML_CPU_ALL_VARIANTS=ON"
# Parts of the standard library that nothing uses; readline and gdbm are under the GPL.
STANDARD = (
    *("test", "idlelib", "tkinter", "turtledemo", "lib2to3", "ensurepip", "site-packages", "__pycache__", "config-*"),
    *(f"{name}.*.so" for name in ("readline", "_gdbm", "_dbm", "_curses*", "_tkinter", "nis", "_crypt", "_test*")),
)
# What each system has, and what has to fit its kernel.
SYSTEM = re.compile(r"(ld-linux.*|linux-vdso|lib(c|m|dl|rt|util|pthread|resolv))\.so.*")
PYTHON = "#include <Python.h>\nint main(int count, char **words) { return Py_BytesMain(count, words); }\n"
START = """\
#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
unset PYTHONHOME PYTHONPATH
export PYTHONNOUSERSITE=1 PYTHONSAFEPATH=1
exec "$here/bin/python3" -m localrag "$@"
"""
CONTROL = """\
Package: localrag
Version: {version}
Architecture: amd64
Maintainer: localrag <localrag@localhost>
Installed-Size: {size}
Depends: libc6 (>= {libc})
Suggests: libreoffice-writer-nogui
Section: text
Priority: optional
Description: questions and answers about documents that stay on this machine
 It reads a folder of documents, finds what a question needs, and answers with
 a local model. Each claim has a page and a quote.
"""


def assemble(folder: Path, work: Path) -> None:
    """Put everything into an empty folder."""
    copy_python(folder, work)
    packages = next((folder / "lib").glob("python3*")) / "site-packages"
    install_packages(packages, work)
    repoint(folder)
    copy_libraries(folder)
    slim(folder)
    copy_embedder(folder / "share/localrag/models" / EMBEDDER)
    (folder / "localrag").write_text(START)
    (folder / "localrag").chmod(0o755)
    shutil.copy(ROOT / "LICENSE", folder)
    own = folder / "bin/python3"  # so that the bill names what is inside
    run(own, "-B", "release/packages.py", "sbom", folder / "localrag.cdx.json", SOURCE_DATE_EPOCH=commit_time())
    compiled = ("compileall", "-q", "-j0", "--invalidation-mode", "unchecked-hash", "-x", "olefile2")  # Python 2
    run(own, "-m", *compiled, "-s", folder, folder / "lib")


def copy_python(folder: Path, work: Path) -> None:
    """Copy this Python's two libraries, and compile a program that finds them beside itself."""
    standard = Path(sysconfig.get_path("stdlib"))
    shutil.copytree(standard, folder / "lib" / standard.name, ignore=shutil.ignore_patterns(*STANDARD))
    shared = Path(sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("INSTSONAME"))
    if not shared.is_file():
        sys.exit(f"bundle: there is no {shared}; take a Python that was built with --enable-shared")
    shutil.copy(shared, folder / "lib")
    (work / "python.c").write_text(PYTHON)
    (folder / "bin").mkdir()
    # With the older kind of path, libraries that are loaded later are looked for there, too.
    linked = ("-Wl,-rpath,$ORIGIN/../lib", "-Wl,--disable-new-dtags")
    include = f"-I{sysconfig.get_path('include')}"
    run("cc", "-O2", include, work / "python.c", shared, *linked, "-o", folder / "bin/python3")


def install_packages(packages: Path, work: Path) -> None:
    """Install localrag and what it needs, without PyTorch and what only PyTorch needs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(each for name in EXTRAS for each in project["optional-dependencies"][name])]
    wanted = [each for each in wanted if re.split(r"[\[<>=~!;]", each)[0] not in LEFT_OUT]
    target = ("install", "--no-compile", "--prefer-binary", "--target", packages)
    own = next(path for path in build(work / "dist") if path.suffix == ".whl")
    pip(*target, "pip", llama_wheel(work), *wanted)
    pip(*target, "--no-deps", own)
    about = next(packages.glob("localrag-*.dist-info")) / "METADATA"  # `localrag doctor` looks for what it names
    left_out = re.compile(rf"^Requires-Dist: ({'|'.join(LEFT_OUT)})\b.*\n", re.MULTILINE)
    about.write_text(left_out.sub("", about.read_text(encoding="utf-8")), encoding="utf-8")
    for backend in (packages / "bin").glob("libggml-cpu-*.so"):
        shutil.move(backend, packages / "llama_cpp/lib" / backend.name)
    # Commands, what CMake installs a second time, and a faster way to a model hub that does without.
    for folder in ("bin", "lib", "include", "share", "hf_xet"):
        shutil.rmtree(packages / folder, ignore_errors=True)
    if not list((packages / "llama_cpp/lib").glob("libggml-cpu-*.so")):
        sys.exit("bundle: llama.cpp was not built for several kinds of processors")


def llama_wheel(work: Path) -> Path:
    """Build llama-cpp-python for all kinds of processors, once for each version."""
    version = metadata.version("llama-cpp-python")
    kept = ROOT / "build" / f"llama-{version}"
    if not list(kept.glob("*.whl")):
        source = ("--no-cache-dir", "--no-deps", "--no-binary", "llama-cpp-python", f"llama-cpp-python=={version}")
        pip("wheel", "--wheel-dir", work / "llama", *source, CMAKE_ARGS=LLAMA)
        shutil.copytree(work / "llama", kept, dirs_exist_ok=True)
    return next(kept.glob("*.whl"))


def pip(command: str, *words: str | Path, **more: str) -> None:
    options = ("--quiet", "--disable-pip-version-check", "--constraint", ROOT / "requirements.lock")
    run(sys.executable, "-m", "pip", command, *options, *words, **more)


def repoint(folder: Path) -> None:
    """Have the modules of the standard library look beside themselves, not where this Python was installed."""
    for path in folder.glob("lib/python3*/lib-dynload/*.so"):
        for old in re.findall(r"\(RU?N?PATH\).*\[(.+)\]", run("readelf", "--dynamic", path)):
            if len(new := "$ORIGIN/../..") > len(old):
                sys.exit(f"bundle: {path.name} has no room for another path than {old}")
            padded = new.encode().ljust(len(old), b"\0") + b"\0"
            path.write_bytes(path.read_bytes().replace(old.encode() + b"\0", padded))


def copy_libraries(folder: Path) -> None:
    """Copy what Python and the packages load of this system, but for what each system has."""
    for path in sorted(folder.rglob("*.so*")):
        for name, place in re.findall(r"^\s*(\S+) => (/\S+)", run("ldd", path), re.MULTILINE):
            if SYSTEM.fullmatch(name) or Path(place).is_relative_to(folder):
                continue
            if not (copy := folder / "lib" / name).exists():
                shutil.copy(place, copy)
            if "(RUNPATH)" in run("readelf", "--dynamic", path) and not (beside := path.with_name(name)).exists():
                beside.symlink_to(os.path.relpath(copy, path.parent))  # that path is looked at instead of ours


def slim(folder: Path) -> None:
    """Drop tests of packages, symbols that only debuggers read, and second copies of libraries."""
    for tests in [path for path in folder.rglob("tests") if path.is_dir()]:
        shutil.rmtree(tests)
    own = [*(folder / "lib").glob("*.so*"), *folder.glob("lib/python3*/lib-dynload/*.so")]
    llama = sorted(folder.glob("lib/python3*/site-packages/llama_cpp/lib/*.so*"))
    run("strip", "--strip-unneeded", *own, *llama)
    for path, before in zip(llama[1:], llama, strict=False):  # libllama.so, libllama.so.0, libllama.so.0.5.0
        if path.name.startswith(before.name) and path.read_bytes() == before.read_bytes():
            path.unlink()
            path.symlink_to(before.resolve().name)


def copy_embedder(folder: Path) -> None:
    """Copy the embedder that is installed here, with its ONNX form."""
    installed = load_settings().models_dir / EMBEDDER
    if not (installed / "onnx/model.onnx").is_file():
        sys.exit(f"bundle: {EMBEDDER} has no ONNX form here; run: localrag models install {EMBEDDER}")
    shutil.copytree(installed, folder)


def pack(folder: Path, archive: Path) -> None:
    """Write the .tar.gz; the same files give the same bytes."""
    with tarfile.open(archive, "w:gz", compresslevel=6) as tar:
        tar.add(folder, folder.name, filter=_anonymous)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mtime = int(commit_time())
    member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    return member


def pack_deb(folder: Path, version: str, work: Path) -> Path:
    """Write the .deb, with the folder in /opt/localrag and the command in /usr/bin."""
    root, package = work / "root", DIST / f"localrag_{version}_amd64.deb"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "opt").mkdir()
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/localrag").symlink_to("/opt/localrag/localrag")
    shutil.move(folder, root / "opt/localrag")
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) // 1024
    control = CONTROL.format(version=version, size=size, libc=platform.libc_ver()[1])
    (root / "DEBIAN/control").write_text(control)
    run("chmod", "-R", "u=rwX,go=rX", root)
    run("dpkg-deb", "--root-owner-group", "-Zzstd", "--build", root, package, SOURCE_DATE_EPOCH=commit_time())
    return package


def main() -> None:
    version = run(sys.executable, "-m", "hatchling", "version")
    DIST.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        folder = work / f"localrag-{version}-linux-x86_64"
        folder.mkdir()
        assemble(folder, work)
        pack(folder, archive := DIST / f"{folder.name}.tar.gz")
        for file in (archive, pack_deb(folder, version, work)):
            print(f"{file.relative_to(ROOT)}: {file.stat().st_size / 1e6:.0f} MB, SHA-256 {sha256(file)}")


if __name__ == "__main__":
    main()
