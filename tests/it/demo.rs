//! `gladly-relay demo` plays the whole story by itself where nobody can type.

use std::process::{Command, Stdio};

#[test]
fn the_demo_tells_the_whole_story_without_a_terminal() {
    let demo = Command::new(env!("CARGO_BIN_EXE_gladly-relay"))
        .arg("demo")
        .stdin(Stdio::null())
        .output()
        .expect("the built program starts");

    let told = String::from_utf8(demo.stdout).expect("the story is text");
    let errors = String::from_utf8_lossy(&demo.stderr);
    assert!(demo.status.success(), "{errors}\n{told}");
    assert_eq!(errors, "", "no log line and no error is on the screen");
    assert!(!told.contains('\x1b'), "colours are for terminals");
    let mut rest = told.as_str();
    for line in [
        "shows what it does",
        "bot  I can look that up.",
        "Your order 12345 is on its way",
        "✓  Follow-up: same thread",
        "✓  Burst: three messages, one question, one answer.",
        "bot, HTML  <p>To set a new password:",
        "bot, plain  To set a new password:",
        "note  Handed over by the bot. The customer asked for a person.",
        "Ada  Hi, I'm Ada.",
        "✓  Handoff: a note, a human",
        "note  Handed over by the bot. The bot could not answer",
        "outcome  answer dropped",
        "✓  Dropped: the bot had an answer, and did not talk over the human.",
        "✓  Closed: the thread is forgotten",
    ] {
        let Some(at) = rest.find(line) else {
            panic!("{line:?} is missing, or out of place, in\n{told}")
        };
        rest = &rest[at..];
    }
}
