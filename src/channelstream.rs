//! The API of Channelstream 0.7.1, for its clients and servers.

mod request;
mod schema;
mod shape;
pub mod signature;
mod time;
