//! Everything that is seen from outside, over real sockets.

mod cel;
mod channels;
mod channels_crowd;
mod channels_model;
mod channelstream;
mod cli;
mod control;
mod filter;
mod harness;
mod hostile;
mod house;
mod library;
mod model;
mod proxy;
mod proxy_faults;
mod proxy_http;
mod proxy_tls;
mod readme;
mod recording;
mod redact;
mod replay;
mod security;
mod session;
mod shutdown;
mod stream;
mod transcripts;
