# What can be done here. `just` itself is optional: each recipe calls a script or cargo.

# Lists the recipes.
default:
    @just --list

# Runs wstap: http://localhost:8080
run *flags:
    cargo run --release -- {{flags}}

# Formatting, lints, unit and integration tests: under a minute after a change of one file.
quick:
    tests/run quick

# The same, and each feature alone, doc tests, documentation.
check:
    tests/run rust

# Everything that CI runs; installs what it needs.
test:
    tests/run

# Real applications behind proxy mode, and the table of docs/proxy.md; or some: `just applications Vite`.
applications *names:
    cargo build
    cd tests/applications && npm ci --no-audit --no-fund
    node tests/applications/run.mjs {{names}}

# The pages in a real Chromium, and clients that others wrote.
test-clients:
    tests/run clients

# Proxy mode with programs of others in front and behind, and the short form of `autobahn`.
test-proxy:
    tests/run proxy

# All of Autobahn's cases directly and through proxy mode, compared; or `--short`, or some: 6.*,12.1.*
autobahn *cases:
    cd tests/proxy && npm ci --no-audit --no-fund
    cargo build
    node tests/autobahn/run.mjs {{cases}}

# Archives in Chromium and Playwright, Socket.IO played again.
test-recordings:
    tests/run recordings

# Fan-out beside a bare epoll server (the figures of docs/performance.md), and the hot parts alone.
bench:
    cargo bench --bench fanout
    cargo bench --bench hot
    cargo bench --bench hub

# Round trips through proxy mode beside nginx, HAProxy and mitmproxy, as far as they are installed.
bench-proxy *names:
    cargo bench --bench proxy -- {{names}}

# Plain HTTP through wstap, nginx and HAProxy, which have to be installed, as have wrk and curl.
bench-http *flags:
    cargo build --release
    node benches/http/run.mjs {{flags}}

# Builds all packages into a folder (target/packages), then installs and runs each.
package folder="target/packages":
    packaging/build {{folder}}
    cd tests/packaging && PACKAGES="$OLDPWD/{{folder}}" python3 -m unittest test_packages

# Looks for input that a parser cannot bear: one target of fuzz/fuzz_targets, `decode` (the decoders of the
# pages), or all of them, for so many seconds each (cargo-fuzz, a nightly toolchain).
fuzz target="all" seconds="60":
    tests/fuzz {{target}} {{seconds}}

# Mixed load with hostile clients for so many minutes: memory, tasks, descriptors, every record.
soak minutes="60":
    cargo build --release
    ulimit -n $(ulimit -Hn); WSTAP_SOAK=$(({{minutes}} * 60)) WSTAP_BINARY=${CARGO_TARGET_DIR:-target}/release/wstap cargo test --test it -- --nocapture soak::

# The long form of what the tests do short: a million channels.
crowd:
    WSTAP_CROWD=1 cargo test --release --test it channels_crowd

# Kills a server with a log 200 times under load, cuts its power by a disk that forgets what was not
# synced, and checks what it had told. Then a simulated month of 3,000,000 events.
crash times="200":
    WSTAP_CRASHES={{times}} cargo test --test it -- log_crash log_power
    WSTAP_MONTH=100000 cargo test --release --lib -- --nocapture log_of_a_month

# Restarts a server with a log ten times under load, keeps books, and prints the pauses of listeners.
restart times="10":
    cargo build --release
    WSTAP_RESTARTS={{times}} WSTAP_BINARY=${CARGO_TARGET_DIR:-target}/release/wstap cargo test --test it -- --nocapture restart::

# Attacks wstap beside a well-behaved client and listener, for long: memory, latency, shutdown.
# SIEGE=elsewhere: the attackers are at a second server, for the share of the machine in the latencies.
# SIEGE=realtime: the server and the client wait for no time slice of the attackers (Linux, root).
siege *names:
    cargo build --release
    ulimit -n $(ulimit -Hn); WSTAP_SIEGE=${SIEGE:-here} WSTAP_BINARY=${CARGO_TARGET_DIR:-target}/release/wstap cargo test --test it -- --test-threads 1 --nocapture beside::{{names}}

# Renders the picture of the README again.
picture:
    cargo build
    cd tests/proxy && npm ci --no-audit --no-fund
    node tests/proxy/picture.mjs

# How fluid the inspector stays: 10,000 events a second for a minute in Chromium.
fluid *args:
    cargo build --release
    WSTAP_BINARY=${CARGO_TARGET_DIR:-target}/release/wstap node tests/pages/fluid.mjs {{args}}

# Takes pictures of the pages, light and dark, wide and narrow, into a folder.
screenshots folder:
    cargo build
    cd tests/pages && npm ci --no-audit --no-fund
    node tests/pages/screenshots.mjs {{folder}}
