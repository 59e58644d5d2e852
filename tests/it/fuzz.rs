//! Whatever comes from outside is read without a panic, and what is made of it keeps
//! its promises: bytes that no table thought of, made from the fixtures by chance.
//!
//! `RELAY_TEST_FUZZ` is the number of inputs for each target; `RELAY_TEST_SEED`
//! repeats a run.

use std::path::Path;

use fastrand::Rng;
use gladly_relay::gladly::{Conversation, Item, parse_events, parse_webhook};
use gladly_relay::gleen::Answer;
use gladly_relay::text::{
    Channel, LONGEST_PART, MAX_PARTS, asks_for_human, is_automated_email, locale, question,
    same_note, same_words, write, write_plain,
};
use gladly_relay::text::{Patterns, default_human_patterns};
use serde_json::Value;

/// Inputs for each target, if nothing is said.
const INPUTS: usize = 1_500;
/// No input grows longer: as much as a webhook may bring.
const LONGEST: usize = 256 * 1024;
/// Mutated inputs that are mutated again.
const POOL: usize = 400;

/// What tends to matter to parsers.
const TOKENS: [&str; 48] = [
    "null",
    "true",
    "-1",
    "1e999",
    "18446744073709551616",
    "\"\"",
    "{}",
    "[]",
    "{\"a\":",
    "[[[[",
    "\\u0000",
    "\\ud800",
    "\u{0}",
    "\u{feff}",
    "\u{202e}",
    "\u{200d}",
    "\u{1f468}\u{200d}\u{1f469}",
    "\r\n",
    "\n\n",
    "\n> ",
    "\n-- \n",
    "On Mon, Jan 5, 2026 at 10:00 AM A <a@b.c> wrote:\n",
    "From: ",
    "-----Original Message-----",
    "**",
    "__",
    "~~",
    "`",
    "```\n",
    "[a](",
    "](javascript:x)",
    "<b>",
    "</",
    "<script>",
    "&amp;",
    "&#x0;",
    "![",
    "1. ",
    "- ",
    "| a | b |\n|---|---|\n",
    "# ",
    "\t",
    " ",
    "https://",
    "\"conversationId\":",
    "\"type\":",
    "\"content\":",
    "CHAT_MESSAGE",
];

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Files of a folder of fixtures, and below.
fn files(folder: &str) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let (mut folders, mut found) = (vec![root.join(folder)], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(std::fs::read(path).unwrap());
            }
        }
    }
    // The order of a folder is the file system's.
    found.sort();
    found
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Feeds a target with what chance makes of these.
fn fuzz(seeds: &[Vec<u8>], target: impl Fn(&[u8]) + std::panic::RefUnwindSafe) {
    assert!(!seeds.is_empty());
    let seed = number("RELAY_TEST_SEED").unwrap_or_else(|| fastrand::u64(..));
    let inputs = number("RELAY_TEST_FUZZ").map_or(INPUTS, |inputs| inputs.try_into().unwrap());
    let mut rng = Rng::with_seed(seed);
    for input in seeds {
        target(input);
    }
    let mut pool = seeds.to_vec();
    for _ in 0..inputs {
        let mut input = pool[rng.usize(..pool.len())].clone();
        for _ in 0..=rng.usize(..6) {
            // Bytes changed at random are hardly ever JSON any more.
            match serde_json::from_slice(&input) {
                Ok(mut document) if rng.bool() => {
                    mutate_json(&mut document, &pool, &mut rng);
                    input = document.to_string().into_bytes();
                }
                _ => mutate(&mut input, &pool, &mut rng),
            }
        }
        input.truncate(LONGEST);
        let survived = std::panic::catch_unwind(|| target(&input));
        if survived.is_err() {
            let text = String::from_utf8_lossy(&input);
            panic!("RELAY_TEST_SEED={seed}, on this input: {text:?}");
        }
        // Deeper changes come of changed ones, short ones above all.
        if input.len() < 4_096 && rng.u8(..) < 40 {
            if pool.len() < seeds.len() + POOL {
                pool.push(input);
            } else {
                let place = seeds.len() + rng.usize(..POOL);
                pool[place] = input;
            }
        }
    }
}

fn mutate(input: &mut Vec<u8>, pool: &[Vec<u8>], rng: &mut Rng) {
    let at = rng.usize(..=input.len());
    let end = (at + rng.usize(..64)).min(input.len());
    match rng.u8(..8) {
        0 if at < input.len() => input[at] ^= 1 << rng.u8(..8),
        1 if at < input.len() => input[at] = rng.u8(..),
        2 => drop(input.drain(at..end)),
        3 => {
            let piece = input[at..end].to_vec();
            let many = piece.repeat(1 + rng.usize(..40));
            input.splice(at..at, many);
        }
        4 => {
            let other = &pool[rng.usize(..pool.len())];
            let from = rng.usize(..=other.len());
            let to = (from + rng.usize(..256)).min(other.len());
            input.splice(at..end, other[from..to].iter().copied());
        }
        5 => {
            let token = rng.choice(TOKENS).unwrap_or_default();
            let many = token.repeat(if rng.u8(..) < 8 { 300 } else { 1 });
            input.splice(at..at, many.into_bytes());
        }
        6 => input.truncate(at),
        _ => {
            let token = rng.choice(TOKENS).unwrap_or_default();
            input.splice(at..end, token.bytes());
        }
    }
}

/// Changes one value somewhere in a document, or a key.
fn mutate_json(document: &mut Value, pool: &[Vec<u8>], rng: &mut Rng) {
    let other = &pool[rng.usize(..pool.len())];
    let other = || serde_json::from_slice(other).unwrap_or_default();
    // Mostly down to a leaf.
    let deeper = rng.u8(..) < 220;
    match document {
        Value::Object(fields) if deeper && !fields.is_empty() => {
            let key = fields.keys().nth(rng.usize(..fields.len())).cloned();
            let key = key.unwrap_or_default();
            if rng.u8(..) < 16 {
                fields.remove(&key);
                fields.insert(token(rng).to_owned(), other());
            } else if let Some(value) = fields.get_mut(&key) {
                mutate_json(value, pool, rng);
            }
        }
        Value::Array(values) if deeper && !values.is_empty() => {
            let index = rng.usize(..values.len());
            if rng.u8(..) < 16 {
                values.insert(index, other());
            } else {
                mutate_json(&mut values[index], pool, rng);
            }
        }
        Value::String(text) if rng.bool() => {
            let mut bytes = std::mem::take(text).into_bytes();
            mutate(&mut bytes, pool, rng);
            *text = String::from_utf8_lossy(&bytes).into_owned();
        }
        value => {
            let before = value.take();
            *value = match rng.u8(..8) {
                0 => Value::Null,
                1 => Value::from(rng.i64(..)),
                2 => Value::from(rng.bool()),
                3 => Value::from(token(rng)),
                4 => Value::from(vec![before; rng.usize(..4)]),
                5 => serde_json::json!({ token(rng): before }),
                _ => other(),
            };
        }
    }
}

fn token(rng: &mut Rng) -> &'static str {
    rng.choice(TOKENS).unwrap_or_default()
}

#[test]
fn any_webhook_body_is_read() {
    let seeds = [files("webhooks"), files("gladly")].concat();
    fuzz(&seeds, |body| {
        let _: Result<_, _> = parse_webhook(body);
        let _: Option<_> = parse_events(body);
    });
}

#[test]
fn any_item_and_any_conversation_is_read() {
    fuzz(&files("gladly"), |body| {
        let Ok(value) = serde_json::from_slice::<Value>(body) else {
            return;
        };
        for value in value.as_array().into_iter().flatten().chain([&value]) {
            if let Some(item) = Item::read(value) {
                let _: Option<Channel> = item.content.channel();
            }
            let _: Option<Conversation> = Conversation::read(value);
        }
    });
}

#[test]
fn any_answer_of_gleen_is_read() {
    let seeds = texts(&[
        r#"{"reply":"Hello","thread_id":"t","handoff":false}"#,
        r#"{"data":{"messages":[{"text":"a"},{"text":"b"}]},"threadId":"t"}"#,
        r#"{"response":null,"error":"x"}"#,
        r#"[{"answer":"a","handoff":"yes"}]"#,
    ]);
    fuzz(&seeds, |body| {
        let Ok(value) = serde_json::from_slice::<Value>(body) else {
            return;
        };
        for pointer in [
            None,
            Some("/reply"),
            Some("/data/messages/0/text"),
            Some(""),
        ] {
            Answer::read(&value, pointer, pointer);
        }
    });
}

#[test]
fn any_markdown_becomes_parts_that_gladly_takes() {
    let seeds = texts(&[
        "Your **order** [shipped](https://example.com/a?b=1&c=2).\n\n- one\n- two\n\n> quote\n\n`code`",
        "## Head\n\n1. a\n   1. b\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```\ncode\n```\n\n<b>html</b> &amp; ![x](y)",
        "A long line without an end ".repeat(200).as_str(),
    ]);
    fuzz(&seeds, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        for channel in Channel::ALL {
            for parts in [write(*channel, &text), write_plain(*channel, &text)] {
                let Ok(parts) = parts else { continue };
                assert!(parts.len() <= MAX_PARTS);
                for part in &parts {
                    let html = *channel == Channel::Email;
                    assert!(html || part.body.chars().count() <= LONGEST_PART);
                    assert!(!part.body.trim().is_empty());
                    assert!(!html || !part.body.to_lowercase().contains("<script"));
                    let listed = if html {
                        part.body_plain.as_deref()
                    } else {
                        None
                    };
                    let _: bool = same_words(part, listed.unwrap_or(&part.body));
                    let _: bool = same_note(&part.body, &part.body);
                }
            }
        }
    });
}

#[test]
fn any_email_and_any_message_becomes_a_question_of_its_own_words() {
    let patterns = Patterns::new(default_human_patterns()).unwrap();
    let patterns = std::panic::AssertUnwindSafe(patterns);
    fuzz(&files("email"), move |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let words = question(Channel::Email, &text, 8_000);
        assert!(text.contains(&words));
        assert!(words.chars().count() <= 8_000);
        let _: bool = asks_for_human(&patterns, &words);
        let _: bool = is_automated_email(&words, &text, &text);
        let _: Option<_> = locale(&words);
    });
}
