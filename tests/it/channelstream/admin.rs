//! The page of figures, and access to it.

use std::time::{Duration, Instant};

use serde_json::json;
use wstap::channelstream::{Admin, Secret};

use super::Api;
use crate::harness::within;

#[tokio::test]
async fn a_signed_call_gets_the_numbers() {
    let api = Api::start().await;
    let id = api.connect("ann", &["a"]).await;
    api.connect("bob", &[]).await;
    let numbers = api.post("/admin/admin.json", json!({})).await;
    for (name, value) in [
        ("remembered_user_count", json!(2)),
        ("unique_user_count", json!(2)),
        ("total_connections", json!(2)),
        ("total_channels", json!(1)),
        ("version", json!("0.7.1")),
    ] {
        assert_eq!(numbers[name], value, "{name}");
    }
    assert_eq!(numbers["channels"]["a"]["users"], json!(["ann"]));
    let ann = numbers["users"].as_array().expect("users").iter().find(|user| user["user"] == "ann");
    assert_eq!(ann.map(|user| user["connections"].clone()), Some(json!([id])));
    assert!(numbers["uptime"].as_str().is_some_and(|uptime| uptime.starts_with("0:00:")));
    assert_eq!(api.get("/admin/admin.json").await.status, 403);
    assert_eq!(api.get("/admin/sign_in").await.status, 404);
}

#[tokio::test]
async fn whoever_signs_in_sees_the_page_and_the_numbers() {
    let api = Api::with(|settings| {
        settings.admin = Some(Admin::new("admin", Secret::new("pa55")));
    })
    .await;
    for (path, to) in [("/admin", "admin/sign_in"), ("/admin/admin.json", "sign_in")] {
        let answer = api.get(path).await;
        assert_eq!((answer.status, answer.header("location")), (302, to));
    }
    let form = api.get("/admin/sign_in").await;
    assert!(form.status == 200 && form.body.contains("<form"));
    assert!(form.header("content-security-policy").contains("form-action 'self'"));
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let path = "/channelstream/admin/sign_in";
    for wrong in ["username=admin&password=x", "username=x&password=pa55", ""] {
        let answer = api.tap.fetch("POST", path, &headers, wrong).await;
        assert_eq!((answer.status, answer.header("set-cookie")), (200, ""), "{wrong}");
    }
    let answer = api.tap.fetch("POST", path, &headers, "username=admin&password=pa55").await;
    assert_eq!((answer.status, answer.header("location")), (302, "../admin"));
    let cookie = answer.header("set-cookie");
    assert!(cookie.ends_with("; Max-Age=2592000; Path=/; HttpOnly; SameSite=Lax"), "{cookie}");
    let ticket = cookie.split(';').next().expect("a pair");
    let headers = [("cookie", ticket)];
    let page = api.tap.fetch("GET", "/channelstream/admin", &headers, "").await;
    assert!(page.status == 200 && page.body.contains("<script"));
    let numbers = api.tap.fetch("GET", "/channelstream/admin/admin.json", &headers, "").await;
    assert_eq!(numbers.json()["version"], "0.7.1");
    let forged = format!("{}x", ticket.replace("admin.", "admin.A"));
    let headers = [("cookie", forged.as_str())];
    let answer = api.tap.fetch("GET", "/channelstream/admin", &headers, "").await;
    assert_eq!(answer.status, 302);
    let out = api.get("/admin/sign_out").await;
    assert!(out.status == 302 && out.header("set-cookie").starts_with("auth_tkt=; Max-Age=0;"));
}

#[tokio::test]
async fn guesses_at_a_password_come_one_at_a_time() {
    let api = Api::with(|settings| {
        settings.admin = Some(Admin::new("admin", Secret::new("pa55")));
    })
    .await;
    let begun = Instant::now();
    let guess =
        || api.tap.fetch("POST", "/channelstream/admin/sign_in", &[], "username=admin&password=x");
    let answers = futures_util::future::join_all((0..20).map(|_| guess())).await;
    let (looked_at, others): (Vec<_>, Vec<_>) = answers.iter().partition(|it| it.status == 200);
    assert!(!looked_at.is_empty() && !others.is_empty());
    for other in &others {
        other.is_problem(429, "slow_down", "try again");
    }
    // One for each half second, however many are sent at once.
    let time = u32::try_from(looked_at.len()).expect("few") * Duration::from_millis(500);
    assert!(begun.elapsed() >= time, "{} in {:?}", looked_at.len(), begun.elapsed());
    assert_eq!(guess().await.status, 200, "later is looked at again");
    // A client that hangs up does not shorten it.
    let hasty = tokio::time::timeout(Duration::from_millis(100), guess()).await;
    assert!(hasty.is_err() && guess().await.status == 429);
}

#[tokio::test]
async fn right_password_signs_in_while_others_of_its_address_guess() {
    let api = Api::with(|settings| {
        settings.admin = Some(Admin::new("admin", Secret::new("pa55")));
    })
    .await;
    let path = "/channelstream/admin/sign_in";
    let sign_in = async |cookie: &str, password: &str| {
        let headers = [("cookie", cookie)];
        let form = format!("username=admin&password={password}");
        api.tap.fetch("POST", path, &headers, &form).await
    };
    let guesses = async |pause| {
        while sign_in("", "x").await.status != 302 {
            tokio::time::sleep(pause).await;
        }
    };
    let owner = async |cookie: &str| {
        // After another guess has begun.
        let refused = async { while sign_in("", "y").await.status != 429 {} };
        within("a guess is refused", refused).await;
        sign_in(cookie, "pa55").await
    };
    let pause = Duration::from_millis(50);
    let answer = tokio::select! {
        ((), ()) = async { tokio::join!(guesses(pause), guesses(pause)) } => panic!("x is wrong"),
        answer = owner("") => answer,
    };
    assert_eq!((answer.status, answer.header("location")), (302, "../admin"));
    // A browser that has signed in before is not affected by any number of guesses.
    let cookies = answer.headers.get_all("set-cookie").iter().map(|it| it.to_str().expect("text"));
    let browser = cookies.filter_map(|it| it.split(';').next()).nth(1).expect("a second cookie");
    let browser = browser.to_owned();
    let none = Duration::ZERO;
    let answer = tokio::select! {
        ((), ()) = async { tokio::join!(guesses(none), guesses(none)) } => panic!("x is wrong"),
        answer = owner(&browser) => answer,
    };
    assert_eq!((answer.status, answer.header("location")), (302, "../admin"));
}

#[tokio::test]
async fn a_ticket_that_came_encrypted_goes_back_so() {
    let cookie = async |enforce_https: bool, scheme: &str| {
        let api = Api::with(|settings| {
            settings.admin = Some(Admin::new("admin", Secret::new("pa55")));
            settings.enforce_https = enforce_https;
        })
        .await;
        let headers = [("x-forwarded-proto", scheme)];
        let form = "username=admin&password=pa55";
        let path = "/channelstream/admin/sign_in";
        let signed_in = api.tap.fetch("POST", path, &headers, form).await;
        let path = "/channelstream/admin/sign_out";
        let out = api.tap.fetch("GET", path, &headers, "").await;
        [signed_in, out].map(|it| it.header("set-cookie").ends_with("; Secure"))
    };
    assert_eq!(cookie(false, "https").await, [true; 2]);
    assert_eq!(cookie(true, "https").await, [true; 2]);
    assert_eq!(cookie(false, "http").await, [false; 2]);
}
