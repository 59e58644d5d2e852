//! The story that is played when nobody can type. Every step waits for its
//! effect, and what each part claims to show is checked before it is said.

use anyhow::ensure;

use super::outcomes::Ending;
use super::session::Session;
use crate::sim::{Message, Operation, Outage};

/// What a customer types while the bot is thinking.
const BURST: [&str; 3] = [
    "one more thing",
    "can I send it back",
    "if I don't like it?",
];

/// Plays it all.
///
/// # Errors
/// Says what was expected and did not come.
pub(super) async fn play(session: &mut Session) -> anyhow::Result<()> {
    session.introduce();
    let chat = session.stage.gladly.add_conversation("Cleo");
    answer_a_question(session, &chat).await?;
    follow_up(session, &chat).await?;
    answer_a_burst(session, &chat).await?;
    answer_an_email(session).await?;
    hand_over_on_request(session, &chat).await?;
    hand_over_when_gleen_is_down(session).await?;
    yield_to_a_human(session).await?;
    forget_a_closed_conversation(session).await?;
    session.screen.heading("That was the whole story.");
    session
        .screen
        .remark("At a terminal, `gladly-relay demo` lets you type yourself.");
    Ok(())
}

async fn answer_a_question(session: &mut Session, chat: &str) -> anyhow::Result<()> {
    session.screen.heading("1. A question is answered");
    session.say(chat, &Message::chat("Where is my order?"));
    session
        .expect_ending(Ending::Replied, "the bot's answer")
        .await?;
    let replies = session.conversation(chat)?.replies().len();
    ensure!(replies == 1, "expected one answer, found {replies}");
    session
        .screen
        .shown("One question, one answer, in the customer's own conversation.");
    Ok(())
}

async fn follow_up(session: &mut Session, chat: &str) -> anyhow::Result<()> {
    session.screen.heading("2. The bot remembers");
    session.say(chat, &Message::chat("It's 12345"));
    session
        .expect_ending(Ending::Replied, "an answer about the order")
        .await?;
    let questions = session.stage.gleen.questions();
    let same_thread = questions
        .windows(2)
        .all(|pair| pair[0].thread_id == pair[1].thread_id);
    ensure!(
        questions.len() == 2 && same_thread,
        "expected both questions on one thread"
    );
    session
        .screen
        .shown("Follow-up: same thread, so a bare number means the order.");
    Ok(())
}

async fn answer_a_burst(session: &mut Session, chat: &str) -> anyhow::Result<()> {
    session
        .screen
        .heading("3. Three short messages, one answer");
    let thinking = session.stage.gleen.hold_next_answer(Operation::SendMessage);
    session.say(chat, &Message::chat("How much does shipping cost?"));
    session
        .expect("the question to reach Gleen", |session| {
            session.stage.gleen.questions().len() == 3
        })
        .await?;
    session
        .screen
        .remark("While the bot is thinking, the customer goes on typing:");
    for text in BURST {
        session.say(chat, &Message::chat(text));
        session
            .expect("the webhook to be accepted", Session::webhooks_taken)
            .await?;
    }
    thinking.release();
    for what in ["the first answer", "one answer to the three messages"] {
        session.expect_ending(Ending::Replied, what).await?;
    }
    let questions = session.stage.gleen.questions();
    let joined = BURST.join("\n");
    ensure!(
        questions.len() == 4 && questions[3].text == joined,
        "expected the three messages as one question, found {:?}",
        questions.last().map(|last| &last.text)
    );
    let replies = session.conversation(chat)?.replies().len();
    ensure!(
        replies == 4,
        "expected four answers so far, found {replies}"
    );
    session
        .screen
        .shown("Burst: three messages, one question, one answer.");
    Ok(())
}

async fn answer_an_email(session: &mut Session) -> anyhow::Result<()> {
    session.screen.heading("4. An email");
    let email = session.stage.gladly.add_conversation("Emil");
    let text = "Hello,\n\nI forgot my password. What can I do?\n\nEmil";
    session.say(&email, &Message::email("Locked out", text));
    session
        .expect_ending(Ending::Replied, "the bot's email")
        .await?;
    let conversation = session.conversation(&email)?;
    let sent = conversation
        .replies()
        .first()
        .and_then(|reply| reply.sent.as_ref());
    let has = |field: &str, part: &str| {
        sent.and_then(|sent| sent[field].as_str())
            .is_some_and(|text| text.contains(part))
    };
    ensure!(
        has("body", "<li>") && has("bodyPlain", "1. "),
        "expected the email as HTML and as plain text"
    );
    session
        .screen
        .shown("Email: the bot's Markdown as HTML, and as plain text.");
    Ok(())
}

async fn hand_over_on_request(session: &mut Session, chat: &str) -> anyhow::Result<()> {
    session.screen.heading("5. The customer asks for a human");
    let asked = session.stage.gleen.questions().len();
    session.say(chat, &Message::chat("Can I talk to a human, please?"));
    expect_handoff(session, chat).await?;
    session
        .stage
        .gladly
        .agent_replies(chat, "Hi, I'm Ada. How can I help?");
    session
        .expect("Ada to have the conversation", |session| {
            session
                .conversation(chat)
                .is_ok_and(|it| it.agent_id.is_some())
        })
        .await?;
    session.say(chat, &Message::chat("Great, a human! My parcel is wet."));
    session
        .expect_ending(Ending::Skipped, "the bot to stay silent")
        .await?;
    ensure!(
        session.stage.gleen.questions().len() == asked,
        "expected Gleen not to be asked"
    );
    session
        .screen
        .shown("Handoff: a note, a human, and from then on the bot is silent.");
    Ok(())
}

async fn hand_over_when_gleen_is_down(session: &mut Session) -> anyhow::Result<()> {
    session.screen.heading("6. Gleen is down");
    let chat = session.stage.gladly.add_conversation("Dora");
    session.stage.gleen.down(Outage::Status(503));
    session.say(&chat, &Message::chat("Do you sell gift cards?"));
    expect_handoff(session, &chat).await?;
    session.stage.gleen.up();
    session
        .screen
        .shown("Gleen down: tried again, then a human. Nobody is left waiting.");
    Ok(())
}

async fn yield_to_a_human(session: &mut Session) -> anyhow::Result<()> {
    session
        .screen
        .heading("7. Gleen is slow, and a human takes over meanwhile");
    let chat = session.stage.gladly.add_conversation("Finn");
    let slow = session.stage.gleen.hold_next_answer(Operation::SendMessage);
    let asked = session.stage.gleen.questions().len();
    session.say(&chat, &Message::chat("When are you open?"));
    session
        .expect("the question to reach Gleen", |session| {
            session.stage.gleen.questions().len() > asked
        })
        .await?;
    session.stage.gladly.take_over(&chat);
    session
        .stage
        .gladly
        .agent_replies(&chat, "Until six today!");
    session.show_news().await;
    slow.release();
    session
        .expect_ending(Ending::Skipped, "the bot's answer to be dropped")
        .await?;
    let replies = session.conversation(&chat)?.replies().len();
    ensure!(replies == 0, "expected the bot's answer to be dropped");
    session
        .screen
        .shown("Dropped: the bot had an answer, and did not talk over the human.");
    Ok(())
}

async fn forget_a_closed_conversation(session: &mut Session) -> anyhow::Result<()> {
    session
        .screen
        .heading("8. A closed conversation is forgotten");
    let chat = session.stage.gladly.add_conversation("Greta");
    session.say(&chat, &Message::chat("Where is my parcel?"));
    session
        .expect_ending(Ending::Replied, "the bot's answer")
        .await?;
    session.stage.gladly.close(&chat);
    session
        .expect("the relay to hear of it", |session| {
            let deliveries = session.stage.gladly.deliveries();
            deliveries
                .iter()
                .any(|one| one.event_type == "CONVERSATION/CLOSED" && one.succeeded())
        })
        .await?;
    session.say(&chat, &Message::chat("Do you have gift cards?"));
    session
        .expect_ending(Ending::Replied, "an answer in the reopened conversation")
        .await?;
    let questions = session.stage.gleen.questions();
    ensure!(
        questions.last().is_some_and(|last| last.before.is_empty()),
        "expected the question on a new thread"
    );
    session
        .screen
        .shown("Closed: the thread is forgotten; the next question begins one.");
    Ok(())
}

async fn expect_handoff(session: &mut Session, chat: &str) -> anyhow::Result<()> {
    session
        .expect_ending(Ending::HandedOff, "the conversation to be handed over")
        .await?;
    let conversation = session.conversation(chat)?;
    let inbox = session.stage.gladly.options().handoff_inbox_id;
    ensure!(
        conversation.inbox_id == inbox && conversation.notes().len() == 1,
        "expected it in the humans' inbox with one note"
    );
    Ok(())
}
