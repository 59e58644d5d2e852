//! What is new in the simulated Gladly and Gleen, told as the steps of a turn.
//!
//! Everything that happens in either carries its place in one order. A step
//! that ends a call has none of its own and goes right behind the call.

use std::collections::VecDeque;
use std::time::Instant;

use serde_json::Value;

use super::stage::Stage;
use crate::sim::{Delivery, ItemView, Operation, Question, RecordedRequest};

/// Something to show.
#[derive(Debug)]
pub(super) enum News {
    /// The relay did something.
    Step {
        /// When.
        at: Instant,
        /// What.
        what: String,
        /// Whether it went well.
        fine: bool,
    },
    /// The bot's answer is in the conversation.
    Bot(ItemView),
    /// A human wrote.
    Human {
        /// The human's name.
        name: String,
        /// The words.
        text: String,
    },
    /// A note's HTML.
    Note(String),
    /// The conversation changed hands or status.
    Changed(String),
}

/// How far the news have been told.
pub(super) struct Trace {
    gladly_calls: usize,
    gleen_calls: usize,
    open_questions: Vec<usize>,
    questions: usize,
    deliveries: usize,
    last_item: u64,
    /// The places of messages whose webhook is still on its way.
    webhooks_due: VecDeque<u64>,
    /// Whether Gleen was asked since the customer's last message.
    asked: bool,
}

type Placed = ((u64, u8), News);

impl Trace {
    /// From now on.
    pub(super) fn new() -> Self {
        Self {
            gladly_calls: 0,
            gleen_calls: 0,
            open_questions: Vec::new(),
            questions: 0,
            deliveries: 0,
            last_item: 0,
            webhooks_due: VecDeque::new(),
            asked: false,
        }
    }

    /// The customer has written the item with this place.
    pub(super) fn customer_wrote(&mut self, sequence: u64) {
        self.webhooks_due.push_back(sequence);
        self.asked = false;
    }

    /// Whether the relay has taken the webhooks of all messages.
    pub(super) fn webhooks_taken(&self) -> bool {
        self.webhooks_due.is_empty()
    }

    /// Whether Gleen was asked since the customer's last message.
    pub(super) const fn asked(&self) -> bool {
        self.asked
    }

    /// What is new, in order.
    pub(super) async fn news(&mut self, stage: &Stage) -> Vec<News> {
        let mut news = self.new_deliveries(&stage.gladly.deliveries());
        // The relay may be at work before Gladly has noted its 200.
        if self.webhooks_taken() {
            news.extend(self.new_in_gleen(stage).await);
            news.extend(self.new_in_gladly(stage).await);
        }
        news.sort_by_key(|(place, _)| *place);
        let mut news: Vec<News> = news.into_iter().map(|(_, news)| news).collect();
        straighten(&mut news);
        news
    }

    fn new_deliveries(&mut self, deliveries: &[Delivery]) -> Vec<Placed> {
        let mut news = Vec::new();
        for delivery in &deliveries[self.deliveries..] {
            let status = delivery
                .status
                .map_or("nothing".to_owned(), |status| status.to_string());
            let (place, meaning) = match delivery.event_type.as_str() {
                // Right behind the message, before all that the relay does about it.
                "CONTACT/MESSAGE_RECEIVED" => {
                    let message = self.webhooks_due.pop_front();
                    (message.unwrap_or_default(), "the message is on disk")
                }
                "CONVERSATION/CLOSED" => (delivery.sequence, "the thread is forgotten"),
                _ => continue,
            };
            let what = if delivery.succeeded() {
                format!("webhook: {status}, {meaning}")
            } else {
                format!("webhook: {status}, Gladly will send it again")
            };
            news.push(((place, 0), step(Instant::now(), what, delivery.succeeded())));
        }
        self.deliveries = deliveries.len();
        news
    }

    async fn new_in_gleen(&mut self, stage: &Stage) -> Vec<Placed> {
        let look = stage.gleen.wait_until(|world| {
            let (requests, questions) = (world.requests().to_vec(), world.questions().to_vec());
            Some((requests, questions, world.in_flight()))
        });
        let (requests, questions, in_flight) = look.await;
        let mut news = Vec::new();
        for question in &questions[self.questions..] {
            let request = call_of(&requests, question);
            let at = request.map_or_else(Instant::now, |request| request.at);
            news.push(((question.sequence, 0), step(at, asking(question), true)));
        }
        self.asked |= requests.len() > self.gleen_calls;
        self.open_questions.extend(self.gleen_calls..requests.len());
        self.questions = questions.len();
        self.gleen_calls = requests.len();
        self.open_questions.retain(|index| {
            let request = &requests[*index];
            let over = request.status.is_some() || in_flight == 0;
            if over {
                let question = questions
                    .iter()
                    .find(|question| question.sequence > request.sequence);
                let place = question.map_or(request.sequence, |question| question.sequence);
                news.push(((place, 1), answered(request)));
            }
            !over
        });
        news
    }

    async fn new_in_gladly(&mut self, stage: &Stage) -> Vec<Placed> {
        let look = stage
            .gladly
            .wait_until(|world| Some((world.requests().to_vec(), world.conversations())));
        let (requests, conversations) = look.await;
        let calls = requests[self.gladly_calls..].iter();
        let mut news: Vec<Placed> = calls
            .filter_map(|request| Some(((request.sequence, 0), self.call(request)?)))
            .collect();
        self.gladly_calls = requests.len();
        let mut last_item = self.last_item;
        for item in conversations.iter().flat_map(|one| &one.items) {
            if item.sequence > self.last_item {
                last_item = last_item.max(item.sequence);
                news.extend(item_news(item, stage).map(|news| ((item.sequence, 0), news)));
            }
        }
        self.last_item = last_item;
        news
    }

    fn call(&self, request: &RecordedRequest) -> Option<News> {
        let what = match request.operation {
            Operation::GetConversation if self.asked => "looks again whose the conversation is",
            Operation::GetConversation => "looks whose the conversation is",
            Operation::GetItem => "reads the message",
            Operation::ListItems => "looks what has arrived",
            Operation::Reply => "replies",
            Operation::AddNote => "leaves a note for the agents",
            Operation::PatchConversation => "moves it to the humans' inbox",
            _ => return None,
        };
        let refused = request.status.filter(|status| *status >= 400);
        let what = match refused {
            Some(status) => format!("{what}: {status}"),
            None => what.to_owned(),
        };
        Some(step(request.at, what, refused.is_none()))
    }
}

fn step(at: Instant, what: String, fine: bool) -> News {
    News::Step { at, what, fine }
}

/// The call by which a question came: the last one before it.
fn call_of<'a>(
    requests: &'a [RecordedRequest],
    question: &Question,
) -> Option<&'a RecordedRequest> {
    let mut before = requests.iter().rev();
    before.find(|request| request.sequence < question.sequence)
}

fn asking(question: &Question) -> String {
    let thread = &question.thread_id;
    if question.before.is_empty() {
        format!("asks Gleen, on a new thread ({thread})")
    } else {
        format!("asks Gleen, on the same thread ({thread})")
    }
}

fn answered(request: &RecordedRequest) -> News {
    let (what, fine) = match request.status {
        Some(200) => ("Gleen answers".to_owned(), true),
        Some(status) => (format!("asks Gleen: {status}"), false),
        None => ("Gleen has not answered in time".to_owned(), false),
    };
    // A failed call is told once, at its beginning: it failed at once.
    let at = if fine || request.status.is_none() {
        Instant::now()
    } else {
        request.at
    };
    step(at, what, fine)
}

fn item_news(item: &ItemView, stage: &Stage) -> Option<News> {
    let text = || item.text().unwrap_or_default().to_owned();
    match (item.content["type"].as_str()?, item.initiator_type.as_str()) {
        ("CONVERSATION_NOTE", _) => Some(News::Note(text())),
        ("CONVERSATION_STATUS_CHANGE", _) => change(&item.content, stage).map(News::Changed),
        ("TOPIC_CHANGE", _) => None,
        _ if item.customer_item_id.is_some() => Some(News::Bot(item.clone())),
        (_, "AGENT") => Some(News::Human {
            name: stage.gladly.options().human_agent_name,
            text: text(),
        }),
        _ => None,
    }
}

fn change(content: &Value, stage: &Stage) -> Option<String> {
    let options = stage.gladly.options();
    let assignee = &content["assignees"]["currentAssignee"];
    if assignee.is_null() {
        return Some(match content["status"].as_str()? {
            "CLOSED" => "the conversation is closed".to_owned(),
            "OPEN" => "the conversation is open again".to_owned(),
            _ => return None,
        });
    }
    let name = &options.human_agent_name;
    if assignee["agentId"] == options.human_agent_id.as_str() {
        Some(format!("{name} has the conversation"))
    } else if assignee["inboxId"] == options.handoff_inbox_id.as_str() {
        Some("the conversation is in the humans' inbox".to_owned())
    } else {
        // Whoever answers first gets it, which is the bot's own doing.
        None
    }
}

/// A step seen only after it happened is no later than the next one.
fn straighten(news: &mut [News]) {
    let mut latest = None;
    for one in news.iter_mut().rev() {
        if let News::Step { at, .. } = one {
            let no_later = latest.map_or(*at, |latest: Instant| latest.min(*at));
            *at = no_later;
            latest = Some(no_later);
        }
    }
}
