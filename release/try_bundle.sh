#!/usr/bin/env bash
# Try the bundle in an empty Debian without Python, compiler and network, as an ordinary user: install, ingest, ask,
# chat, serve. `make try-bundle` runs it. It needs root, debootstrap, tmux and curl, and 3 GB of disk.
set -euo pipefail
cd "$(dirname "$0")/.."
clone=$PWD
generator=smollm2-135m-instruct
models=$("$clone/.venv/bin/python" -c 'from localrag.settings import load_settings; print(load_settings().models_dir)')
archive=$(ls "$clone"/dist/localrag-*-linux-x86_64.tar.gz)
work=$(mktemp -d "${TMPDIR:-/tmp}/localrag-bundle.XXXXXX")
root=$work/root
trap 'umount "$root/proc" "$root/dev" 2>/dev/null || true; rm -rf --one-file-system "$work"' EXIT

step() { # NAME COMMAND...: run it, and say how long it took
    local name=$1 begun=$SECONDS
    shift
    "$@"
    echo "try_bundle: $name: $((SECONDS - begun)) s"
}

inside() { # COMMAND...: run it in the empty system, as a user, without network
    unshare --net --pid --fork --kill-child chroot --userspec=1000:1000 "$root" \
        /usr/bin/env -i HOME=/srv/user PATH=/usr/bin:/bin TERM=xterm-256color LANG=C.UTF-8 "$@"
}

make_root() {
    debootstrap --variant=minbase "${RELEASE:-stable}" "$root" >"$work/debootstrap.log" || { tail "$work/debootstrap.log"; return 1; }
    mount -t proc proc "$root/proc"
    mount --rbind --make-rslave /dev "$root/dev"
    ! chroot "$root" sh -c 'command -v python3; command -v cc'
    mkdir -p "$root/srv/user/documents"
    cp -r examples/. "$root/srv/user/documents"
    chown -R 1000:1000 "$root/srv/user"
}

unpack() {
    tar xzf "$archive" -C "$root/opt"
    mv "$root"/opt/localrag-* "$root/opt/localrag"
    cp -a "$models/$generator" "$root/opt/localrag/share/localrag/models/"
    chmod -R a+rX "$root/opt/localrag"
    ln -s /opt/localrag/localrag "$root/usr/bin/localrag"
}

answers() {
    inside localrag --version
    inside localrag models install all-minilm-l6-v2
    inside localrag models install "$generator"
    inside localrag doctor | tee "$work/doctor.txt"
    inside localrag ingest /srv/user/documents --name examples
    inside localrag ask "For how long is former pay protected after redeployment?" --library examples
}

chats() {
    local tmux=(tmux -S "$work/tmux")
    declare -fx inside
    root=$root "${tmux[@]}" new-session -d -x 120 -y 40 "root=$root; $(declare -f inside); inside localrag chat examples"
    sleep 8
    "${tmux[@]}" send-keys "Within how many days are invoices paid?" Enter
    for _ in $(seq 60); do
        sleep 1
        "${tmux[@]}" capture-pane -p >"$work/screen"
        grep -q "days" "$work/screen" && grep -q "Sources\|\[1\]" "$work/screen" && break
    done
    cat "$work/screen"
    "${tmux[@]}" kill-server
}

serves() {
    inside localrag serve --library examples --socket /srv/user/socket --no-token >"$work/serve.log" 2>&1 &
    for _ in $(seq 30); do
        sleep 1
        curl --silent --fail --unix-socket "$root/srv/user/socket" http://localhost/v1/models && break
    done
    kill $!
}

step "empty system" make_root
step "unpack" unpack
step "answers" answers
step "chat" chats
step "serve" serves
