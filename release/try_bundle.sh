#!/usr/bin/env bash
# Try the bundle in an empty Debian without Python, compiler and network, as an ordinary user: install, ingest, ask,
# chat, serve; then the same folder as a package of Debian. `make try-bundle` runs it. It needs root, debootstrap, tmux and curl, and 3 GB of disk.
set -euo pipefail
cd "$(dirname "$0")/.."
clone=$PWD
generator=smollm2-135m-instruct
models=$("$clone/.venv/bin/python" -c 'from localrag.settings import load_settings; print(load_settings().models_dir)')
archive=$(ls "$clone"/dist/localrag-*-linux-x86_64.tar.gz)
package=$(ls "$clone"/dist/localrag_*_amd64.deb)
work=$(mktemp -d "${TMPDIR:-/tmp}/localrag-bundle.XXXXXX")
root=$work/root
trap 'stop; umount "$root/proc"; umount --recursive --lazy "$root/dev"; rm -rf --one-file-system "$work"' EXIT

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
    debootstrap --variant=minbase "${RELEASE:-stable}" "$root" >"$work/log" || { tail "$work/log"; return 1; }
    mount -t proc proc "$root/proc"
    mount --rbind --make-rslave /dev "$root/dev"
    if chroot "$root" sh -c 'command -v python3 || command -v cc'; then
        return 1
    fi
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
    "${tmux[@]}" new-session -d -x 120 -y 40 "root=$root; $(declare -f inside); inside localrag chat examples"
    wait_for "Ask a question" "${tmux[@]}" capture-pane -p
    "${tmux[@]}" send-keys "Within how many days are invoices paid?" Enter
    wait_for "citation 1 of" "${tmux[@]}" capture-pane -p
    "${tmux[@]}" kill-server
}

serves() {
    inside localrag serve examples --socket /srv/user/socket --no-token &
    wait_for '"localrag/examples"' curl --silent --unix-socket "$root/srv/user/socket" http://localhost/v1/models
    stop
}

stop() { # End what `inside` began in the background: a signal to unshare does not reach it, as it is another user's.
    for job in $(jobs -p); do
        if unshare=$(pgrep --parent "$job"); then
            pkill --signal KILL --parent "$unshare" || true
        fi
        wait "$job" || true
    done
}

packaged() {
    rm -r "$root/opt/localrag" "$root/usr/bin/localrag"
    cp "$package" "$root/localrag.deb"
    chroot "$root" dpkg --install /localrag.deb
    inside localrag ask "Within how many days are invoices paid?" --library examples
    chroot "$root" dpkg --purge localrag
    test ! -e "$root/usr/bin/localrag"
}

wait_for() { # TEXT COMMAND...: run it until it prints the text; show what it printed and fail after a minute and a half
    local text=$1
    shift
    for _ in $(seq 90); do
        "$@" >"$work/printed" || true
        if grep -q "$text" "$work/printed"; then
            return
        fi
        sleep 1
    done
    cat "$work/printed"
    return 1
}

step "empty system" make_root
step "unpack" unpack
step "answers" answers
step "chat" chats
step "serve" serves
step "package" packaged
