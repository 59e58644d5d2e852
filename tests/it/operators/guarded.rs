//! Who is not let in, over plain HTTP: every path, every way to forge a request.

use std::net::IpAddr;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use reqwest::{Client, Method, RequestBuilder};

use super::{NEEDLE, TOKEN, client, send, url, with_a_password, with_a_story};
use crate::support::{IDENTIFIER, TestRelay, soon};

const PATHS: [&str; 18] = [
    "/",
    "/turns",
    "/conversations?id=unknown",
    "/conversations/acme/unknown",
    "/report",
    "/report.csv",
    "/api/turns",
    "/api/report",
    "/api/conversations/acme/unknown",
    "/metrics",
    "/api/accounts",
    "/api/dead",
    "/api/stream",
    "/dead-letters",
    "/dead-letters/confirm?action=drop&id=1",
    "/live.js",
    "/nothing/here",
    "/sign-in/",
];
const OPEN_PATHS: [&str; 3] = ["/sign-in", "/style.css", "/icon.svg"];
const CHANGES: [&str; 4] = [
    "/api/dead/1/retry",
    "/api/dead/1/drop",
    "/dead-letters/settle",
    "/sign-out",
];

#[tokio::test]
async fn nothing_is_answered_by_another_s_name() {
    let relay = TestRelay::start().await;
    for path in PATHS.iter().chain(&OPEN_PATHS) {
        let request = client()
            .get(url(&relay, path))
            .header("Host", "evil.example");
        assert_eq!(send(request).await.status(), 403, "{path}");
    }
    for path in CHANGES.iter().chain(&["/sign-in"]) {
        let request = client()
            .post(url(&relay, path))
            .header("Host", "evil.example");
        let request = request.header("Sec-Fetch-Site", "same-origin");
        assert_eq!(send(request).await.status(), 403, "{path}");
    }
    relay.finish().await;
}

#[tokio::test]
async fn without_the_password_only_the_door_is_shown() {
    let relay = with_a_password().await;
    for path in PATHS {
        let refused = send(client().get(url(&relay, path))).await;
        assert_eq!(refused.status(), 401, "{path}");
        assert!(refused.headers().contains_key("www-authenticate"));
        let visit = client()
            .get(url(&relay, path))
            .header("Accept", "text/html");
        let sent = send(visit).await;
        assert_eq!(sent.status(), 303, "{path}");
        let location = sent.headers()["location"].to_str().unwrap();
        assert!(location.starts_with("/sign-in"), "{location}");
        let script = client()
            .get(url(&relay, path))
            .header("Sec-Fetch-Mode", "cors");
        let refused = send(script).await;
        assert_eq!(refused.status(), 401, "{path}");
        let asks = refused.headers()["www-authenticate"]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(asks.starts_with("Bearer"), "no browser asks by it: {asks}");
        let known = client().get(url(&relay, path)).bearer_auth(TOKEN);
        let known = send(known).await.status().as_u16();
        assert!([200, 303, 404].contains(&known), "{path}: {known}");
    }
    for path in OPEN_PATHS {
        assert_eq!(
            send(client().get(url(&relay, path))).await.status(),
            200,
            "{path}"
        );
    }
    for path in CHANGES {
        let request = client().post(url(&relay, path));
        let request = request.header("Sec-Fetch-Site", "same-origin");
        assert_eq!(send(request).await.status(), 401, "{path}");
    }
    relay.finish().await;
}

/// What another site, or nobody, can make a browser send.
const FORGED: [&[(&str, &str)]; 6] = [
    &[],
    &[("Origin", "http://evil.example")],
    &[("Origin", "null")],
    &[("Sec-Fetch-Site", "cross-site")],
    &[("Sec-Fetch-Site", "same-site")],
    &[("Sec-Fetch-Site", "none")],
];

fn with(request: RequestBuilder, headers: &[(&str, &str)]) -> RequestBuilder {
    let add = |request: RequestBuilder, (name, value): &(&str, &str)| request.header(*name, *value);
    headers.iter().fold(request, add)
}

#[tokio::test]
async fn a_forged_request_changes_nothing_on_an_open_listener() {
    let relay = TestRelay::start().await;
    for path in CHANGES {
        for headers in FORGED {
            let request = with(client().post(url(&relay, path)), headers);
            assert_eq!(send(request).await.status(), 403, "{path} {headers:?}");
        }
        let own = relay.running().admin_url.clone();
        let request = client().post(url(&relay, path)).header("Origin", own);
        let status = send(request).await.status().as_u16();
        assert!([303, 400, 404].contains(&status), "{path}: {status}");
    }
    relay.finish().await;
}

#[tokio::test]
async fn a_forged_request_changes_nothing_in_a_session_and_the_token_needs_no_page() {
    let relay = with_a_password().await;
    let cookie = sign_in(&relay).await;
    for path in CHANGES {
        for headers in FORGED {
            let request = client().post(url(&relay, path)).header("Cookie", &cookie);
            let refused = send(with(request, headers)).await;
            assert_eq!(refused.status(), 403, "{path} {headers:?}");
        }
        for headers in &FORGED[1..5] {
            let request = client()
                .post(url(&relay, path))
                .basic_auth("a", Some(TOKEN));
            let refused = send(with(request, headers)).await;
            assert_eq!(
                refused.status(),
                403,
                "a browser sends it too: {path} {headers:?}"
            );
        }
        for request in [
            client().post(url(&relay, path)).bearer_auth(TOKEN),
            client().post(url(&relay, path)).basic_auth("", Some(TOKEN)),
        ] {
            let status = send(request).await.status().as_u16();
            assert!([303, 400, 404].contains(&status), "{path}: {status}");
        }
    }
    for headers in FORGED {
        let request = client()
            .post(url(&relay, "/sign-in"))
            .body(format!("token={TOKEN}"));
        let refused = send(with(request, headers)).await;
        assert_eq!(refused.status(), 403, "{headers:?}");
    }
    relay.finish().await;
}

async fn sign_in(relay: &TestRelay) -> String {
    let form = client()
        .post(url(relay, "/sign-in"))
        .body("token=open+sesame");
    let signed = send(form.header("Sec-Fetch-Site", "same-origin")).await;
    assert_eq!(signed.status(), 303);
    let cookie = signed.headers()["set-cookie"].to_str().unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn the_cookie_is_no_password_and_binds_the_browser() {
    let relay = with_a_password().await;
    let form = || {
        let form = client()
            .post(url(&relay, "/sign-in"))
            .body("token=open+sesame");
        form.header("Sec-Fetch-Site", "same-origin")
    };
    let plain = send(form()).await;
    let plain = plain.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(plain.contains("; HttpOnly; SameSite=Strict"), "{plain}");
    assert!(
        !plain.contains("Secure") && !plain.contains("sesame"),
        "{plain}"
    );
    let behind_tls = send(form().header("X-Forwarded-Proto", "https")).await;
    let secure = behind_tls.headers()["set-cookie"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(secure.ends_with("; Secure"), "{secure}");
    assert_ne!(plain.split(';').next(), secure.split(';').next());

    let cookie = plain.split(';').next().unwrap().to_owned();
    let ask = async |cookie: &str| {
        let request = client()
            .get(url(&relay, "/api/accounts"))
            .header("Cookie", cookie);
        send(request).await.status().as_u16()
    };
    assert_eq!(ask(&cookie).await, 200);
    assert_eq!(ask("gladly_relay_session=open sesame").await, 401);
    assert_eq!(ask("gladly_relay_session=").await, 401);
    let out = client()
        .post(url(&relay, "/sign-out"))
        .header("Cookie", &cookie);
    assert_eq!(
        send(out.header("Sec-Fetch-Site", "same-origin"))
            .await
            .status(),
        303
    );
    assert_eq!(
        ask(&cookie).await,
        401,
        "it ended for whoever has kept the cookie too"
    );
    let other = secure.split(';').next().unwrap();
    assert_eq!(ask(other).await, 200, "another's goes on");
    relay.clock.advance(std::time::Duration::from_hours(13));
    assert_eq!(ask(other).await, 401, "it is over");
    relay.finish().await;
}

#[tokio::test]
async fn a_link_from_elsewhere_comes_home_before_it_is_judged() {
    let relay = with_a_password().await;
    let hostile = "/dead-letters?account=\"><script>";
    let visit = client()
        .get(url(&relay, hostile))
        .header("Accept", "text/html");
    let visit = visit.header("Sec-Fetch-Site", "cross-site");
    let bounced = send(visit.header("Sec-Fetch-Mode", "navigate")).await;
    assert_eq!(bounced.status(), 200);
    let page = soon(bounced.text()).await.unwrap();
    assert!(page.contains("http-equiv=refresh"), "{page}");
    assert!(!page.contains("<script"), "{page}");
    relay.finish().await;
}

#[tokio::test]
async fn every_answer_is_confined_and_paths_are_exact() {
    let relay = TestRelay::start().await;
    for path in PATHS.iter().chain(&OPEN_PATHS) {
        let answer = send(client().get(url(&relay, path))).await;
        let headers = answer.headers();
        let policy = headers["content-security-policy"].to_str().unwrap();
        for part in [
            "default-src 'none'",
            "frame-ancestors 'none'",
            "form-action 'self'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["cache-control"], "no-store", "{path}");
        assert_eq!(headers["referrer-policy"], "same-origin", "{path}");
        assert!(!headers.contains_key("access-control-allow-origin"));
    }
    for path in [
        "//",
        "/style.css/",
        "/x/style.css",
        "/API/accounts",
        "/api",
        "/sign-in/x",
        "/api/dead/1",
    ] {
        let answer = send(client().get(url(&relay, path))).await;
        assert_eq!(answer.status(), 404, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }
    for (method, path) in [
        (Method::DELETE, "/sign-in"),
        (Method::PUT, "/style.css"),
        (Method::GET, "/dead-letters/settle"),
        (Method::GET, "/api/dead/1/drop"),
    ] {
        let request = client().request(method, url(&relay, path));
        let request = request.header("Sec-Fetch-Site", "same-origin");
        assert_eq!(send(request).await.status(), 405, "{path}");
    }
    relay.finish().await;
}

#[tokio::test]
async fn nobody_s_words_and_no_secret_are_on_any_page() {
    let relay = with_a_story().await;
    let options = relay.gladly.options();
    let gleen = relay.gleen.options();
    let secrets = [
        NEEDLE,
        &options.api_token,
        &gleen.api_key,
        IDENTIFIER,
        &options.username,
    ];
    for path in PATHS
        .iter()
        .chain(&OPEN_PATHS)
        .filter(|path| **path != "/api/stream")
    {
        let answer = send(client().get(url(&relay, path))).await;
        let text = soon(answer.text()).await.unwrap();
        for secret in secrets {
            assert!(!text.contains(secret), "{path} holds {secret}");
        }
    }
    relay.finish().await;
}

#[tokio::test]
async fn who_guesses_the_token_waits_and_holds_up_nobody_else() {
    let relay = with_a_password().await;
    let cookie = sign_in(&relay).await;
    let path = url(&relay, "/api/accounts");
    let mut guesses: FuturesUnordered<_> = (0..20)
        .map(|number| send(client().get(&path).bearer_auth(format!("guess {number}"))))
        .collect();
    let crowded = async {
        while let Some(answer) = guesses.next().await {
            let status = answer.status().as_u16();
            match status {
                401 => {}
                429 => return answer.headers().contains_key("retry-after"),
                status => panic!("a guess was answered {status}"),
            }
        }
        false
    };
    assert!(
        soon(crowded).await,
        "they are judged one after the other, and few may wait"
    );
    let elsewhere = Client::builder()
        .local_address(IpAddr::from([127, 0, 0, 2]))
        .no_proxy();
    let elsewhere = elsewhere.build().unwrap();
    let known = elsewhere.get(&path).bearer_auth(TOKEN);
    assert_eq!(send(known).await.status(), 200);
    let signed_in = client().get(&path).header("Cookie", &cookie);
    assert_eq!(send(signed_in).await.status(), 200);
    drop(guesses);
    relay.finish().await;
}
