//! The user documentation: the pages of the folder `docs`, one module for each.
//!
//! The module exists in the documentation and in doc tests only. The same files are read on GitHub
//! and here, so a link in a page is a reference (`[filters][filters]`) that each side defines in its
//! own way: the file by a definition such as `[filters]: filters.md` at its end, this module by the
//! definitions below. They are placed before the page, and of two definitions the first one counts.
//! `tests/it/pages.rs` compares both lists and checks the targets.

macro_rules! pages {
    ($links:literal $($page:ident)*) => {
        $(
            #[doc = $links]
            #[doc = include_str!(concat!("../docs/", stringify!($page), ".md"))]
            pub mod $page {}
        )*
    };
}

pages! {
"[backup]: crate::docs::operations#backup
[behind]: crate::docs::operations#behind-a-reverse-proxy
[channels]: crate::docs::channels
[channelstream]: crate::docs::channelstream
[clock]: crate::docs::operations#clock
[codes]: crate::docs::http#codes
[comparison]: crate::docs::comparison
[events]: crate::docs::events
[faults]: crate::docs::log#when-the-disk-fails
[filters]: crate::docs::filters
[heartbeat]: crate::docs::websocket#heartbeat
[http]: crate::docs::http
[inspector]: crate::docs::inspector
[javascript]: crate::docs::javascript
[log]: crate::docs::log
[limits]: crate::docs::operations#limits
[memory]: crate::docs::performance#memory
[operations]: crate::docs::operations
[performance]: crate::docs::performance
[proxy]: crate::docs::proxy
[recordings]: crate::docs::recordings
[redaction]: crate::docs::redaction
[register]: crate::docs::websocket#register-by-command
[replay]: crate::docs::replay
[resume]: crate::docs::channels#resume
[search]: crate::docs::inspector#search-and-filter
[security]: crate::docs::security
[settings]: crate::docs::settings
[websocket]: crate::docs::websocket
"
    proxy inspector websocket events channels channelstream javascript library filters redaction
    recordings log replay settings http guarantees comparison performance security operations
}

/// The README, for its Rust blocks.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
