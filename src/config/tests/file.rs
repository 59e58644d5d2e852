//! The TOML file, alone and beside variables.

use super::*;

#[test]
fn a_file_makes_several_accounts_and_each_may_differ_from_the_common_policy() {
    let text = format!(
        "listen = \"127.0.0.1:7000\"\n[policy]\nmax_turns = 5\nattachments = \"handoff\"\n{}{}",
        account("acme", "[account.policy]\nmax_turns = 9"),
        account("bmce", "requests_per_second = 50"),
    );
    let config = load_text(&text, &[]).unwrap();
    assert_eq!(config.listen.port(), 7000);
    let [acme, bmce] = &config.accounts[..] else {
        panic!("{} accounts", config.accounts.len());
    };
    assert_eq!((acme.name.as_str(), bmce.name.as_str()), ("acme", "bmce"));
    assert_eq!((acme.policy.max_turns, bmce.policy.max_turns), (9, 5));
    assert_eq!(acme.policy.attachments, Attachments::HandOff);
    assert_eq!(bmce.gladly.requests_per_second, 50);
}

#[test]
fn an_account_may_do_without_the_common_handoff_message() {
    let text = format!(
        "[policy]\nhandoff_message = \"One moment.\"\n{}{}",
        account("acme", ""),
        account("bmce", "[account.policy]\nhandoff_message = \"\""),
    );
    let config = load_text(&text, &[]).unwrap();
    let messages = config
        .accounts
        .iter()
        .map(|account| account.policy.handoff_message.as_deref());
    assert_eq!(messages.collect::<Vec<_>>(), [Some("One moment."), None]);
}

#[test]
fn a_variable_wins_over_the_file() {
    let text = format!(
        "listen = \"127.0.0.1:7000\"\n{}",
        account("acme", "[account.policy]\nanswer_deadline = \"30s\"")
    );
    let variables = [
        ("RELAY_LISTEN", "127.0.0.1:7001"),
        ("GLADLY_URL", "https://other.gladly.com"),
        ("RELAY_ANSWER_DEADLINE", "40s"),
    ];
    let config = load_text(&text, &variables).unwrap();
    assert_eq!(config.listen.port(), 7001);
    let account = &config.accounts[0];
    assert_eq!(account.gladly.url.as_str(), "https://other.gladly.com/");
    assert_eq!(account.policy.answer_deadline, Duration::from_secs(40));
}

#[test]
fn a_variable_that_names_the_file_is_enough_and_the_option_wins_over_it() {
    let folder = TempDir::new().unwrap();
    let named = write(&folder, "named.toml", &account("named", ""));
    let given = write(&folder, "given.toml", &account("given", ""));
    let environment = Environment::from([("RELAY_CONFIG", named.to_str().unwrap())]);
    let name = |config: Config| config.accounts[0].name.to_string();
    assert_eq!(name(Config::load(None, &environment).unwrap()), "named");
    assert_eq!(
        name(Config::load(Some(&given), &environment).unwrap()),
        "given"
    );
}

#[test]
fn an_account_variable_beside_two_accounts_is_a_mistake() {
    let text = account("acme", "") + &account("bmce", "");
    let error = load_text(&text, &[("GLADLY_URL", "https://acme.gladly.com")]).unwrap_err();
    assert_eq!(error.mistakes.len(), 1);
    assert_mistake(
        &error.mistakes,
        "GLADLY_URL: does not say which of the file's 2 accounts",
    );
    load_text(&text, &[("RELAY_ANSWER_DEADLINE", "40s")]).unwrap();
}

#[test]
fn a_name_or_an_identifier_used_twice_is_a_mistake() {
    let text = account("acme", "") + &account("acme", "");
    let error = load_text(&text, &[]).unwrap_err();
    assert_mistake(&error.mistakes, "account[2].name: acme is used twice");
    assert_mistake(
        &error.mistakes,
        "account[2].identifier: another account has it too",
    );
}

#[test]
fn two_accounts_that_answer_one_inbox_are_a_mistake() {
    let acme = account("acme", "");
    let other = account("bmce", "").replace("bmce.gladly.com", "ACME.gladly.com.:443");
    let error = load_text(&(acme.clone() + &other), &[]).unwrap_err();
    assert_eq!(error.mistakes.len(), 1, "{error}");
    assert_mistake(
        &error.mistakes,
        "account[2].gladly.ai_inbox_id: acme answers this inbox of the same organization already",
    );
    let elsewhere = other.replace("ai_inbox_id = \"ai\"", "ai_inbox_id = \"ai-2\"");
    load_text(&(acme.clone() + &elsewhere), &[]).unwrap();
    load_text(&(acme + &account("bmce", "")), &[]).unwrap();
}

#[test]
fn what_the_second_account_lacks_is_named_by_its_number() {
    let text = account("acme", "") + "[[account]]\nidentifier = \"two\"";
    let error = load_text(&text, &[]).unwrap_err();
    for key in [
        "gladly.url",
        "gladly.username",
        "gladly.api_token",
        "gladly.ai_inbox_id",
        "gladly.handoff_inbox_id",
        "gladly.agent_id",
        "gleen.api_key",
    ] {
        assert_mistake(
            &error.mistakes,
            &format!("account[2].{key}: missing; write "),
        );
    }
    assert_eq!(error.mistakes.len(), 7, "{:#?}", error.mistakes);
}

#[test]
fn an_unknown_key_names_the_nearest_known_one() {
    let text = format!(
        "listn = 1\n[policy]\nmax_turn = 1\n{}",
        account("acme", "agentid = 1")
    );
    let error = load_text(&text, &[]).unwrap_err();
    assert_eq!(
        error.mistakes,
        [
            "policy.max_turn: unknown key; the nearest known key is `max_turns`",
            "account.gladly.agentid: unknown key; the nearest known key is `agent_id`",
            "listn: unknown key; the nearest known key is `listen`",
        ]
    );
}

#[test]
fn a_bad_regular_expression_is_named_by_its_number() {
    let text = format!(
        "[policy]\nno_answer = [\"fine\", \"(\"]\n{}",
        account("acme", "")
    );
    let error = load_text(&text, &[]).unwrap_err();
    assert_eq!(error.mistakes.len(), 1);
    assert_mistake(
        &error.mistakes,
        "policy.no_answer: number 2 is not a regular expression: unclosed group; write ",
    );
}

#[test]
fn a_pattern_that_is_found_in_everything_is_a_mistake() {
    for wrong in ["I do not know|", "", ".*", "(sorry)?", "^", "\\\\s*"] {
        for key in ["no_answer", "ask_for_human"] {
            let text = format!(
                "[policy]\n{key} = [\"fine\", \"{wrong}\"]\n{}",
                account("acme", "")
            );
            let error = load_text(&text, &[]).unwrap_err();
            assert_eq!(error.mistakes.len(), 1, "{wrong}");
            let beginning =
                format!("policy.{key}: number 2 is found in every text, even an empty one");
            assert_mistake(&error.mistakes, &beginning);
        }
    }
    for right in ["^\\\\s*$", "I do not know", "(un)?sure"] {
        let text = format!(
            "[policy]\nno_answer = [\"{right}\"]\n{}",
            account("acme", "")
        );
        load_text(&text, &[]).unwrap();
    }
}

#[test]
fn patterns_apply_whatever_the_case_and_none_switches_them_off() {
    let text = format!(
        "[policy]\nno_answer = [\"don't know\"]\nask_for_human = []\n{}",
        account("acme", "")
    );
    let policy = load_text(&text, &[]).unwrap().accounts.remove(0).policy;
    assert!(policy.no_answer.is_match("I DON'T KNOW that"));
    assert!(!policy.ask_for_human.is_match("a human please"));
}

#[test]
fn a_value_of_another_kind_is_a_mistake_that_says_what_to_write() {
    let text = format!(
        "listen = [1]\npolicy = 1\n{}",
        account("acme", "[account.policy]\nask_for_human = \"agent\"")
    );
    let error = load_text(&text, &[]).unwrap_err();
    assert_mistake(&error.mistakes, "listen: write an address and a port");
    assert_mistake(&error.mistakes, "policy: write a table");
    assert_mistake(
        &error.mistakes,
        "account.policy.ask_for_human: write a list of regular expressions",
    );
    let error = load_text("account = 1", &[]).unwrap_err();
    assert_mistake(
        &error.mistakes,
        "account: write each account as a table headed [[account]]",
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Config::load(Some(Path::new("/no/such.toml")), &environment(&[])).unwrap_err();
    assert_mistake(&error.mistakes, "/no/such.toml: cannot be read");
}
