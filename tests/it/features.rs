//! Which crates a library user compiles. `tests/run rust` builds each feature alone.

use std::collections::BTreeSet;
use std::process::Command;

/// Returns the names of all crates that are compiled into the library with these features.
fn crates(features: &str) -> BTreeSet<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let tree = Command::new(cargo)
        .args(["tree", "--locked", "--edges", "normal,build", "--prefix", "none"])
        .args(["--no-default-features", "--features", features])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let names = String::from_utf8(tree.stdout).expect("text");
    names.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn library_without_features_has_no_crates_of_the_program() {
    let bare = crates("");
    assert!(bare.contains("axum") && bare.contains("tokio"), "{bare:?}");
    for (feature, names) in [
        ("cli", &["clap", "indicatif", "toml", "anyhow", "tracing-subscriber"][..]),
        ("pages", &["rust-embed"]),
        ("channelstream", &["hmac", "uuid"]),
        ("tls", &["rustls", "tokio-rustls", "rustls-native-certs"]),
        ("openapi", &["utoipa"]),
        ("jwt", &["ring", "pem", "spki"]),
        ("sqlite", &["rusqlite", "libsqlite3-sys"]),
        ("jemalloc", &["tikv-jemallocator"]),
    ] {
        let with = crates(feature);
        for name in names {
            assert!(with.contains(*name), "{feature} brings {name}");
            assert!(!bare.contains(*name), "{name} is compiled without {feature}");
        }
    }
    let program = crates("default");
    for name in ["rsa", "p256", "jsonwebtoken", "tikv-jemallocator"] {
        assert!(!program.contains(name), "the program compiles {name}");
    }
}
