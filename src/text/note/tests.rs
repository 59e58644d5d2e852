//! One snapshot per reason, and the promises that hold for any facts.

use proptest::prelude::*;

use super::*;
use crate::text::same::text_of;

/// A plain handoff for `reason`.
fn note_for(reason: HandoffReason) -> String {
    note(&NoteFacts {
        reason,
        customer_asked: Some("Where is my order 48213?"),
        bot_answer: None,
        attachments: &[],
        detail: None,
        at: "2026-01-05 10:12 UTC",
    })
}

/// What every note of [`note_for`] says below its reason.
const REST: &str = "<p><strong>The customer's last message:</strong> Where is my order 48213?</p>\
    <p><strong>Handed over at:</strong> 2026-01-05 10:12 UTC</p>";

/// The part of the note that differs from reason to reason.
fn first_paragraph(reason: HandoffReason) -> String {
    let note = note_for(reason);
    let first = note.strip_suffix(REST);
    first
        .unwrap_or_else(|| panic!("another rest: {note}"))
        .to_owned()
}

#[test]
fn the_note_for_bot_error() {
    insta::assert_snapshot!(
        first_paragraph(HandoffReason::BotError),
        @"<p><strong>Handed over by the bot.</strong> The bot could not answer because of a technical problem.</p>"
    );
}

#[test]
fn the_note_for_bot_timeout() {
    insta::assert_snapshot!(
        first_paragraph(HandoffReason::BotTimeout),
        @"<p><strong>Handed over by the bot.</strong> The bot took too long to find an answer.</p>"
    );
}

#[test]
fn the_note_for_bot_no_answer() {
    insta::assert_snapshot!(
        first_paragraph(HandoffReason::BotNoAnswer),
        @"<p><strong>Handed over by the bot.</strong> The bot found no answer to this message.</p>"
    );
}

#[test]
fn the_note_for_bot_requested() {
    insta::assert_snapshot!(
        first_paragraph(HandoffReason::BotRequested),
        @"<p><strong>Handed over by the bot.</strong> The bot asked for a person to take over.</p>"
    );
}

#[test]
fn the_note_for_breaker_open() {
    insta::assert_snapshot!(
        first_paragraph(HandoffReason::BreakerOpen),
        @"<p><strong>Handed over by the bot.</strong> The bot is out of order at the moment, so it was not asked.</p>"
    );
}

#[test]
fn the_note_for_customer_requested() {
    insta::assert_snapshot!(
        first_paragraph(HandoffReason::CustomerRequested),
        @"<p><strong>Handed over by the bot.</strong> The customer asked for a person.</p>"
    );
}

#[test]
fn the_note_for_unsupported_content() {
    insta::assert_snapshot!(
        first_paragraph(HandoffReason::UnsupportedContent),
        @"<p><strong>Handed over by the bot.</strong> The message holds no text that the bot can read, such as a voicemail or only files.</p>"
    );
}

#[test]
fn the_note_for_automated_email() {
    insta::assert_snapshot!(
        first_paragraph(HandoffReason::AutomatedEmail),
        @"<p><strong>Handed over by the bot.</strong> The email looks forwarded or written by a machine (an out-of-office reply or a returned email, for example), so the bot did not answer it.</p>"
    );
}

#[test]
fn the_note_for_reply_rejected() {
    insta::assert_snapshot!(
        first_paragraph(HandoffReason::ReplyRejected),
        @"<p><strong>Handed over by the bot.</strong> The bot had an answer, but it could not be sent to the customer.</p>"
    );
}

#[test]
fn the_note_for_turn_limit() {
    insta::assert_snapshot!(
        first_paragraph(HandoffReason::TurnLimit),
        @"<p><strong>Handed over by the bot.</strong> The bot has answered as often in this conversation as it may.</p>"
    );
}

#[test]
fn the_note_for_loop_suspected() {
    insta::assert_snapshot!(
        first_paragraph(HandoffReason::LoopSuspected),
        @"<p><strong>Handed over by the bot.</strong> The conversation looks like two machines answering each other, so the bot stopped.</p>"
    );
}

#[test]
fn the_note_for_deadline() {
    insta::assert_snapshot!(
        first_paragraph(HandoffReason::Deadline),
        @"<p><strong>Handed over by the bot.</strong> The customer had waited too long for the bot.</p>"
    );
}

#[test]
fn a_note_with_everything_in_it() {
    let note = note(&NoteFacts {
        reason: HandoffReason::ReplyRejected,
        customer_asked: Some("Is <b>this</b> right?\r\nTom & Jerry"),
        bot_answer: Some("**Yes**, see [here](https://acme.com):\n\n- one <script>\n- two"),
        attachments: &["box.png".to_owned(), "a<b>.pdf".to_owned()],
        detail: Some("content.body is invalid"),
        at: "2026-01-05 10:12 UTC",
    });
    insta::assert_snapshot!(note.replace("<p>", "\n<p>"), @"
    <p><strong>Handed over by the bot.</strong> The bot had an answer, but it could not be sent to the customer.</p>
    <p><strong>The customer's last message:</strong><br>Is &lt;b&gt;this&lt;/b&gt; right?<br>Tom &amp; Jerry</p>
    <p><strong>The bot would have answered:</strong><br>Yes, see here (https://acme.com):<br>- one &lt;script&gt;<br>- two</p>
    <p><strong>Attachments:</strong> box.png, a&lt;b&gt;.pdf</p>
    <p><strong>Detail:</strong> content.body is invalid</p>
    <p><strong>Handed over at:</strong> 2026-01-05 10:12 UTC</p>
    ");
}

#[test]
fn nothing_in_a_note_turns_the_direction_of_text() {
    let turned = "a\u{202e}b\u{2066}c\u{200f}d\u{61c}e";
    let note = note(&NoteFacts {
        reason: HandoffReason::ReplyRejected,
        customer_asked: Some(turned),
        bot_answer: Some("[a&#x202e;bc](https://acme.com/&#x202e;de)"),
        attachments: &[turned.to_owned()],
        detail: Some(turned),
        at: turned,
    });
    assert!(
        !note.contains(['\u{202e}', '\u{2066}', '\u{200f}', '\u{61c}']),
        "{note:?}"
    );
    assert_eq!(note.matches("abcde").count(), 4, "{note}");
}

#[test]
fn what_is_not_known_is_not_mentioned() {
    let note = note(&NoteFacts {
        reason: HandoffReason::UnsupportedContent,
        customer_asked: Some(" \n"),
        bot_answer: Some(""),
        attachments: &[String::new()],
        detail: None,
        at: "now",
    });
    assert_eq!(note.matches("<p>").count(), 2, "{note}");
}

#[test]
fn no_agent_has_to_know_how_the_relay_is_built() {
    for reason in HandoffReason::ALL {
        let note = note_for(*reason).to_lowercase();
        for jargon in [
            "breaker", "timeout", "http", "api", "relay", "gleen", "webhook", "deadline", "_",
        ] {
            assert!(!note.contains(jargon), "{reason}: {jargon}");
        }
    }
}

#[test]
fn a_long_message_and_a_long_answer_are_cut_and_marked() {
    let message = "word ".repeat(1_000);
    let answer = "reply ".repeat(5_000);
    let note = note(&NoteFacts {
        reason: HandoffReason::ReplyRejected,
        customer_asked: Some(&message),
        bot_answer: Some(&answer),
        attachments: &vec!["x".repeat(900); 50],
        detail: Some(&answer),
        at: "now",
    });
    assert_eq!(note.matches("word").count(), 400);
    assert_eq!(note.matches("reply").count(), 3_333 + 83);
    assert_eq!(note.matches(" … <em>(shortened)</em>").count(), 3);
    assert_eq!(note.matches("xxx, ").count(), 20);
}

proptest! {
    #[test]
    fn nothing_that_people_wrote_becomes_markup(
        asked in any::<String>(), answer in any::<String>(), name in any::<String>(), detail in any::<String>(),
    ) {
        let tagged = |text: &str| format!("<script>{text}</script><img onerror=\"{text}\">");
        let note = note(&NoteFacts {
            reason: HandoffReason::BotError,
            customer_asked: Some(&tagged(&asked)),
            bot_answer: Some(&tagged(&answer)),
            attachments: &[tagged(&name)],
            detail: Some(&tagged(&detail)),
            at: "now",
        });
        let bare = ["<p>", "</p>", "<strong>", "</strong>", "<br>", "<em>", "</em>"]
            .iter()
            .fold(note.clone(), |note, tag| note.replace(tag, ""));
        prop_assert!(!bare.contains(['<', '>']), "{}", bare);
        prop_assert!(text_of(&note).contains("<script>"));
    }
}
