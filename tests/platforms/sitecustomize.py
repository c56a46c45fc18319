"""Let localrag run as on another system, in a real process: put this folder on PYTHONPATH and set AS_PLATFORM.

Its modules are compiled with another `sys.platform` and `os.name`, and without what Python lacks there, so that its
branches for Windows and macOS run on Linux. Limits: paths, locks, programs and libraries stay those of Linux.
"""

import ast
import importlib.machinery
import os
import sys

PLATFORM = os.environ.get("AS_PLATFORM", sys.platform)
_LINUX = {
    "os": "O_PATH O_TMPFILE pidfd_open sched_getaffinity memfd_create",
    "time": "CLOCK_BOOTTIME",
    "socket": "SO_PEERCRED AF_NETLINK",
}
_UNIX = {
    "os": "O_CLOEXEC O_DIRECTORY O_NOCTTY O_NOFOLLOW O_NONBLOCK PRIO_PROCESS chown fork forkpty getegid geteuid getgid "
    "getgroups getpgid getpriority getsid getuid initgroups killpg lchown mkfifo nice openpty pread pwrite register_at_fork "
    "setpgid setpriority setsid sysconf uname wait3 wait4",
    "signal": "SIGALRM SIGCHLD SIGCONT SIGHUP SIGKILL SIGPIPE SIGPROF SIGQUIT SIGSTOP SIGTSTP SIGUSR1 SIGUSR2 SIGWINCH "
    "ITIMER_PROF ITIMER_REAL alarm pause pthread_kill setitimer sigwait",
    "socket": "AF_UNIX recv_fds send_fds",
    "select": "epoll poll",
    "time": "clock_gettime",
    "shutil": "chown",
}
_MODULES = (
    {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"} if PLATFORM == "win32" else set()
)
_LACKS = {
    f"{module}.{name}"
    for table in (_LINUX, _UNIX if PLATFORM == "win32" else {})
    for module, names in table.items()
    for name in names.split()
}


class _There(ast.NodeTransformer):
    def visit_Attribute(self, node):
        self.generic_visit(node)
        name = ast.unparse(node)
        if name == "sys.platform":
            return ast.copy_location(ast.Constant(PLATFORM), node)
        if name == "os.name":
            return ast.copy_location(ast.Constant("nt" if PLATFORM == "win32" else "posix"), node)
        if name in _LACKS:
            node.attr += "_is_lacking"
        return node

    def visit_Call(self, node):
        self.generic_visit(node)
        match node:
            case ast.Call(func=ast.Name("getattr" | "hasattr"), args=[ast.Name(module), ast.Constant(name), *_]):
                if f"{module}.{name}" in _LACKS:
                    node.args[1] = ast.Constant(f"{name}_is_lacking")
                    ast.fix_missing_locations(node)
        return node

    def visit_Import(self, node):
        lacking = [each.name for each in node.names if each.name in _MODULES]
        return self._missing(node, lacking[0]) if lacking else node

    def visit_ImportFrom(self, node):
        lacking = [each.name for each in node.names if f"{node.module}.{each.name}" in _LACKS]
        return self._missing(node, lacking[0]) if lacking or node.module in _MODULES else node

    def _missing(self, node, name):
        return ast.copy_location(ast.parse(f"raise ImportError({name!r})").body[0], node)


class _Loader(importlib.machinery.SourceFileLoader):
    def source_to_code(self, data, path, *, _optimize=-1):
        tree = ast.fix_missing_locations(_There().visit(ast.parse(data)))
        return compile(tree, path, "exec", dont_inherit=True, optimize=_optimize)

    def get_code(self, fullname):
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)  # never from the cache, and never into it


class _Finder(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        if fullname.partition(".")[0] != "localrag":
            return None
        spec = super().find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


if sys.platform != PLATFORM:
    sys.meta_path.insert(0, _Finder)
if PLATFORM == "win32":
    import ctypes
    from types import SimpleNamespace

    ctypes.windll = SimpleNamespace(
        shell32=SimpleNamespace(SHGetFolderPathW=lambda *_: 1),  # none is found
        kernel32=SimpleNamespace(GlobalMemoryStatusEx=lambda *_: 0),
    )
