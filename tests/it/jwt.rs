//! Tokens for private channels, from the key file to the frame that is refused.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};
use wstap::auth::JwtKey;
use wstap::hub::{ChannelRules, Declared, Settings};

use crate::cli::{Running, output};
use crate::harness::{Tap, Ws, until};

const SECRET: &str = "a secret of more than thirty-two bytes";

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

fn token(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&Header::default(), claims, &key).expect("claims are JSON")
}

async fn tap() -> Tap {
    let rules = ChannelRules { private: true, ..ChannelRules::default() };
    let declared = Declared { name: "*".parse().expect("a pattern"), rules };
    let authority = JwtKey::read(SECRET.as_bytes()).expect("a key");
    let (channels, authority) = (vec![declared], Some(Arc::new(authority) as _));
    Tap::with(Settings { channels, authority, ..Settings::default() }, |_| {}).await
}

/// Asks to enter a channel, and returns the answer.
async fn subscribe(ws: &mut Ws, channel: &str, token: &str) -> Value {
    let params = json!({"channels": [channel], "token": token});
    ws.send(&json!({"type": "subscribe", "params": params}).to_string()).await;
    ws.json().await
}

async fn publish(ws: &mut Ws, channel: &str) -> Value {
    let params = json!({"channel": channel, "message": 1});
    ws.send(&json!({"type": "publish", "params": params}).to_string()).await;
    ws.json().await
}

#[tokio::test]
async fn a_token_opens_what_it_names_and_nothing_else() {
    let tap = tap().await;
    let mut ws = tap.ws("/ws?connectionId=a&ack=1").await;
    let claims = json!({
        "sub": "ann",
        "exp": now() + 600,
        "wstap": {"subscribe": ["news/*"], "publish": ["news/own"]},
    });
    let token = token(&claims);
    assert!(subscribe(&mut ws, "news/own", &token).await["ack"].is_string());
    assert!(subscribe(&mut ws, "news/sport", &token).await["ack"].is_string());
    assert_eq!(subscribe(&mut ws, "other", &token).await["error"]["code"], "forbidden");
    assert_eq!(publish(&mut ws, "news/sport").await["error"]["code"], "forbidden");
    let answers = [publish(&mut ws, "news/own").await, ws.json().await];
    assert!(answers.iter().any(|it| it["ack"].is_string()), "{answers:?}");
    assert!(answers.iter().any(|it| it["data"] == 1), "{answers:?}");
    let channel = tap.get("/api/channels/news%2Fown").await.json();
    assert_eq!(channel["users"], json!(["ann"]));
}

#[tokio::test]
async fn a_token_without_the_claim_opens_nothing() {
    let tap = tap().await;
    let mut ws = tap.ws("/ws?connectionId=a&ack=1").await;
    let token = token(&json!({"sub": "ann", "exp": now() + 600}));
    assert_eq!(subscribe(&mut ws, "news", &token).await["error"]["code"], "forbidden");
}

#[tokio::test]
async fn a_forged_or_outdated_token_opens_nothing_and_is_told_to_nobody() {
    let tap = tap().await;
    let mut events = tap.events("?format=full").await;
    let mut ws = tap.ws("/ws?connectionId=a&ack=1").await;
    let all = json!({"subscribe": ["*"]});
    let outdated = token(&json!({"sub": "ann", "exp": now() - 1, "wstap": all}));
    let stranger = EncodingKey::from_secret(b"another secret of thirty-two bytes");
    let claims = json!({"sub": "ann", "exp": now() + 600, "wstap": all});
    let forged = jsonwebtoken::encode(&Header::default(), &claims, &stranger).expect("JSON");
    let endless = token(&json!({"sub": "ann", "wstap": all}));
    for (token, why) in [(&outdated, "expired"), (&forged, "signature"), (&endless, "exp")] {
        let answer = subscribe(&mut ws, "news", token).await;
        assert_eq!(answer["error"]["code"], "unauthorized");
        let words = answer["error"]["message"].as_str().expect("words");
        assert!(words.contains(why) && !words.contains(token.as_str()), "{words}");
    }
    ws.close(1000, "").await;
    let seen = [events.data().await, events.data().await].concat();
    assert!([outdated, forged, endless].iter().all(|token| !seen.contains(token)), "{seen}");
}

#[tokio::test]
async fn what_a_token_has_opened_closes_when_it_runs_out() {
    let tap = tap().await;
    let mut ws = tap.ws("/ws?connectionId=a&ack=1").await;
    let claims = json!({"exp": now() + 1, "wstap": {"subscribe": ["*"], "publish": ["*"]}});
    assert!(subscribe(&mut ws, "news", &token(&claims)).await["ack"].is_string());
    until("the end of the token", || now() > claims["exp"].as_u64().expect("seconds")).await;
    let answers = [publish(&mut ws, "news").await, ws.json().await];
    let mut codes = answers.each_ref().map(|answer| answer["error"]["code"].as_str());
    codes.sort_unstable();
    // It is told that it is in the channel no more, and that it may not publish there.
    assert_eq!(codes, [Some("forbidden"), Some("unauthorized")], "{answers:?}");
}

#[test]
fn a_file_that_is_no_key_is_a_fault_of_the_configuration() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
    let pair = rcgen::KeyPair::generate().expect("a pair");
    for (name, content, right) in [
        ("short", "hunter2\n".to_owned(), "at least 32 bytes"),
        ("private", pair.serialize_pem(), "the public one is right"),
        (
            "jwks",
            "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\"}]}".to_owned(),
            "BEGIN PUBLIC KEY",
        ),
        ("odd", "-----BEGIN THING-----\nAAAA\n-----END THING-----\n".to_owned(), "one public key"),
    ] {
        std::fs::write(path(name), &content).expect("it is written");
        let (code, _, words) = output(&["--listen", "localhost:0", "--jwt-key", &path(name)]);
        assert_eq!(code, 2, "{words}");
        assert!(words.contains(right) && words.contains("jwt-key"), "{words}");
        assert!(!words.contains(content.trim()), "{words}");
    }
    let (code, _, words) = output(&["--listen", "localhost:0", "--jwt-key", &path("nowhere")]);
    assert_eq!(code, 2, "{words}");
}

#[test]
fn the_program_says_with_which_algorithm_tokens_are_checked_and_not_with_which_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("key.pem");
    let pair = rcgen::KeyPair::generate().expect("a pair");
    for (content, algorithm) in [(pair.public_key_pem(), "ES256"), (SECRET.to_owned(), "HS256")] {
        std::fs::write(&path, &content).expect("it is written");
        let path = path.to_str().expect("text");
        let server = Running::server(&["--listen", "localhost:0", "--jwt-key", path]);
        assert!(server.url().starts_with("http://"));
        let words = server.words();
        assert!(words.contains(&format!("tokens are checked with {algorithm}\n")), "{words}");
        assert!(!content.lines().any(|line| words.contains(line)), "{words}");
    }
}
