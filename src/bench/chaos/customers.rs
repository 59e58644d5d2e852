//! The customers: each writes in a conversation of its own, now and then in a
//! burst; some ask for a human, some are taken over or closed.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::ledger::Token;
use crate::bench::count;
use crate::sim::{Gladly, Message};

/// How much is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) messages: usize,
    /// Conversations that are written in at the same time.
    pub(super) conversations: usize,
    pub(super) messages_per_second: f64,
}

/// One customer at work.
struct Customer {
    number: usize,
    conversation: String,
    written: usize,
}

/// Writes all messages, evenly, and returns the conversations they are in.
pub(super) async fn write(gladly: &Gladly, load: Load, rng: &mut fastrand::Rng) -> Vec<String> {
    let mut customers: Vec<Customer> = (0..load.conversations)
        .map(|number| new_customer(gladly, number))
        .collect();
    let mut used: Vec<String> = customers
        .iter()
        .map(|customer| customer.conversation.clone())
        .collect();
    let (start, mut written) = (Instant::now(), 0);
    while written < load.messages {
        sleep_until(start + Duration::from_secs_f64(count(written) / load.messages_per_second))
            .await;
        let index = rng.usize(..customers.len());
        let burst = if rng.f64() < 0.2 { rng.usize(2..5) } else { 1 };
        let burst = burst.min(load.messages - written);
        for _ in 0..burst {
            say(gladly, &mut customers[index], "tell me about");
        }
        written += burst;
        if human_event(gladly, &mut customers[index], rng, &mut written) {
            // The conversation is with a human for good; its customer comes back in another.
            customers[index] = new_customer(gladly, used.len());
            used.push(customers[index].conversation.clone());
        }
    }
    used
}

fn new_customer(gladly: &Gladly, number: usize) -> Customer {
    Customer {
        number,
        conversation: gladly.add_conversation("A customer"),
        written: 0,
    }
}

fn say(gladly: &Gladly, customer: &mut Customer, words: &str) {
    let token = Token {
        customer: customer.number,
        number: customer.written,
    };
    customer.written += 1;
    gladly.customer_says(
        &customer.conversation,
        &Message::chat(format!("{words} {token}")),
    );
}

/// Now and then somebody asks for a human, or a human steps in. True if the
/// conversation is no longer the bot's.
fn human_event(
    gladly: &Gladly,
    customer: &mut Customer,
    rng: &mut fastrand::Rng,
    written: &mut usize,
) -> bool {
    match rng.f64() {
        share if share < 0.01 => {
            say(gladly, customer, "I want to talk to a real person about");
            *written += 1;
            true
        }
        share if share < 0.02 => {
            gladly.take_over(&customer.conversation);
            true
        }
        share if share < 0.025 => {
            gladly.close(&customer.conversation);
            true
        }
        // A handoff for another cause ends it too.
        _ => gladly
            .conversation(&customer.conversation)
            .is_some_and(|view| view.inbox_id != gladly.options().ai_inbox_id),
    }
}
