//! Where secrets may come from, and that none ever shows.

use super::*;

#[test]
fn any_variable_may_name_a_file_that_holds_its_value() {
    let folder = TempDir::new().unwrap();
    let token = write(&folder, "token", "from-a-file\n");
    let listen = write(&folder, "listen", "127.0.0.1:7002\n");
    let config = load(&[
        ("GLADLY_API_TOKEN", ""),
        ("GLADLY_API_TOKEN_FILE", token.to_str().unwrap()),
        ("RELAY_LISTEN_FILE", listen.to_str().unwrap()),
    ])
    .unwrap();
    assert_eq!(
        config.accounts[0].gladly.api_token.expose_secret(),
        "from-a-file"
    );
    assert_eq!(config.listen.port(), 7002);
}

#[test]
fn a_variable_and_its_file_together_are_a_mistake() {
    let mistakes = mistakes(&[("GLADLY_API_TOKEN_FILE", "/run/token")]);
    assert_eq!(
        mistakes,
        ["GLADLY_API_TOKEN: given twice; unset GLADLY_API_TOKEN or GLADLY_API_TOKEN_FILE"]
    );
}

#[test]
fn a_file_that_is_missing_or_empty_is_a_mistake_of_the_variable_that_names_it() {
    let folder = TempDir::new().unwrap();
    let empty = write(&folder, "empty", "\n");
    let mistakes = mistakes(&[
        ("GLADLY_API_TOKEN", ""),
        ("GLADLY_API_TOKEN_FILE", empty.to_str().unwrap()),
        ("GLEEN_API_KEY", ""),
        ("GLEEN_API_KEY_FILE", "/no/such/key"),
    ]);
    assert_eq!(mistakes.len(), 2);
    assert_mistake(&mistakes, "GLADLY_API_TOKEN_FILE: ");
    assert_mistake(&mistakes, "GLEEN_API_KEY_FILE: ");
}

#[test]
fn a_secret_in_the_file_may_point_to_a_variable_or_another_file() {
    let folder = TempDir::new().unwrap();
    let key = write(&folder, "key", "key-from-file\n");
    let text = account("acme", "")
        .replace("\"token\"", "{ env = \"ACME_TOKEN\" }")
        .replace(
            "\"key\"",
            &format!("{{ file = {:?} }}", key.to_str().unwrap()),
        )
        .replace("\"acme-identifier\"", "[{ env = \"ACME_NEW\" }, \"old\"]");
    let variables = [("ACME_TOKEN", "token-from-env"), ("ACME_NEW", "new")];
    let config = load_text(&text, &variables).unwrap();
    let account = &config.accounts[0];
    assert_eq!(account.gladly.api_token.expose_secret(), "token-from-env");
    assert_eq!(account.gleen.api_key.expose_secret(), "key-from-file");
    let identifiers = account.identifiers.iter().map(ExposeSecret::expose_secret);
    assert_eq!(identifiers.collect::<Vec<_>>(), ["new", "old"]);

    let error = load_text(&text, &[("ACME_NEW", "new")]).unwrap_err();
    assert_mistake(&error.mistakes, "account.gladly.api_token: the variable ");
}

#[test]
fn a_variable_that_the_file_names_may_itself_name_a_file() {
    let folder = TempDir::new().unwrap();
    let token = write(&folder, "token", "from-a-file\n");
    let text = account("acme", "").replace("\"token\"", "{ env = \"GLADLY_TOKEN_OF_ACME\" }");
    let config = load_text(
        &text,
        &[("GLADLY_TOKEN_OF_ACME_FILE", token.to_str().unwrap())],
    )
    .unwrap();
    assert_eq!(
        config.accounts[0].gladly.api_token.expose_secret(),
        "from-a-file"
    );
    let error = load_text(&text, &[]).unwrap_err();
    assert_mistake(&error.mistakes, "account.gladly.api_token: the variable");
}

#[test]
fn commands_beside_a_relay_read_its_addresses_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let text = "listen = \"127.0.0.1:7002\"\nstore = \"sqlite:///here\"\nother = 1\n[[account]]\n";
    let path = write(&folder, "relay.toml", text);
    let file = Addresses::load(Some(&path), &Environment::default()).unwrap();
    assert_eq!(file.listen.port(), 7002);
    assert_eq!(file.store.path(), Some(Path::new("/here")));
    let wrong = Environment::from([("RELAY_STORE", "relay.db")]);
    let error = Addresses::load(Some(&path), &wrong).unwrap_err();
    assert_mistake(&error.mistakes, "RELAY_STORE: ");
}

#[test]
fn a_pointer_of_another_shape_is_a_mistake() {
    for pointer in [
        "{ variable = \"X\" }",
        "{ env = \"X\", file = \"Y\" }",
        "{}",
    ] {
        let text = account("acme", "").replace("\"token\"", pointer);
        let error = load_text(&text, &[]).unwrap_err();
        assert_mistake(
            &error.mistakes,
            "account.gladly.api_token: write a string, ",
        );
    }
}

#[test]
fn a_blank_secret_is_a_mistake_wherever_it_stands() {
    let with_identifier = |identifier| {
        let text = account("acme", "").replace("\"acme-identifier\"", identifier);
        load_text(&text, &[]).unwrap_err().mistakes
    };
    for blank in ["[\"\"]", "[\"good\", \" \"]"] {
        assert_mistake(&with_identifier(blank), "account.identifier: empty; write ");
    }
    let missing = "ACCOUNT_IDENTIFIER (`account.identifier`): missing; write ";
    for blank in ["\"\"", "\"  \"", "\",\"", "[]"] {
        assert_mistake(&with_identifier(blank), missing);
    }
    assert_mistake(&mistakes(&[("ACCOUNT_IDENTIFIER", " , ")]), missing);
    for (given, place) in [
        ("\"token\"", "gladly.api_token"),
        ("\"key\"", "gleen.api_key"),
    ] {
        let text = account("acme", "").replace(given, "\"\"");
        let error = load_text(&text, &[]).unwrap_err();
        assert_mistake(&error.mistakes, &format!("account.{place}: empty; write "));
    }
}

#[test]
fn a_secret_that_cannot_stand_in_a_header_is_a_mistake() {
    for secret in ["two\nlines", "schlüssel", "tab\there"] {
        let mistakes = mistakes(&[("GLEEN_API_KEY", secret)]);
        assert_eq!(
            mistakes,
            ["GLEEN_API_KEY: not printable ASCII on one line; write the bot's API key"]
        );
    }
}

#[test]
fn a_user_name_with_a_colon_is_a_mistake() {
    let mistakes = mistakes(&[("GLADLY_USERNAME", "bot:x")]);
    assert_mistake(&mistakes, "GLADLY_USERNAME: not understood; write ");
}

#[test]
fn no_secret_shows_in_debug_output() {
    let config = load(&[
        ("ACCOUNT_IDENTIFIER", "needle-1,needle-2"),
        ("ACCOUNT_WEBHOOK_USERNAME", "gladly"),
        ("ACCOUNT_WEBHOOK_PASSWORD", "needle-3"),
        ("GLADLY_API_TOKEN", "needle-4"),
        ("GLEEN_API_KEY", "needle-5"),
    ])
    .unwrap();
    let shown = format!("{config:?} {config:#?}");
    assert!(!shown.contains("needle"), "{shown}");
}

#[test]
fn no_secret_shows_in_an_error() {
    let error = load(&[
        ("ACCOUNT_IDENTIFIER", "needle-1"),
        ("ACCOUNT_WEBHOOK_PASSWORD", "needle-2"),
        ("GLADLY_API_TOKEN", "needle-3"),
        ("GLEEN_API_KEY", "needle-4"),
        ("GLADLY_URL", "https://user:needle-5@acme.gladly.com"),
        (
            "RELAY_STORE",
            "postgres://relay:needle-6@db/relay?sslmode=on",
        ),
        ("RELAY_PUBLIC_URL", "needle-7"),
    ])
    .unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("needle"), "{shown}");
}

#[test]
fn a_secret_written_where_its_place_belongs_does_not_show_either() {
    let text = account("acme", "")
        .replace("\"token\"", "{ file = \"needle-1\" }")
        .replace("\"key\"", "{ env = \"needle-2\" }");
    let error = load_text(&text, &[("ACCOUNT_IDENTIFIER_FILE", "needle-3")]).unwrap_err();
    assert_eq!(error.mistakes.len(), 3);
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("needle"), "{shown}");
}

#[test]
fn a_syntax_error_names_the_line_and_does_not_quote_it() {
    for line in [
        "api_token = needle",
        "api_token = \"needle",
        "\"needle\" = = 1",
        "[needle",
        "url = \"https://needle.gladly.com\"", // the second of its name
    ] {
        let text = account("acme", line);
        let error = load_text(&text, &[]).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("needle"), "{shown}");
        let line = format!(", line {}: ", text.lines().count() - 1);
        assert!(error.mistakes[0].contains(&line), "{shown}");
        assert!(error.mistakes[0].contains(": not TOML: "), "{shown}");
    }
}

#[test]
fn an_admin_listener_that_others_reach_needs_a_password() {
    let open = [("RELAY_ADMIN_LISTEN", "0.0.0.0:9090")];
    let mistakes = mistakes(&open);
    assert_eq!(mistakes.len(), 1);
    assert!(mistakes[0].starts_with("RELAY_ADMIN_TOKEN: missing"));
    let config = load(&[open[0], ("RELAY_ADMIN_TOKEN", "open-sesame")]).unwrap();
    assert_eq!(config.admin_token.unwrap().expose_secret(), "open-sesame");
}
