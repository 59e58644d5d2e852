//! How the simulated organization is set up, and where the real Gladly's
//! behaviour is unknown, which of the readings it follows.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::roles::Role;

/// The settings; all can be changed while it runs, but for `listen` and `seed`.
#[derive(Debug, Clone)]
pub struct GladlyOptions {
    /// Where to serve; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Seeds ids, chaos and the probability of faults.
    pub seed: u64,
    /// The organization's name.
    pub organization_name: String,
    /// The API user's email.
    pub username: String,
    /// The API user's token.
    pub api_token: String,
    /// What the API user may do.
    pub roles: Vec<Role>,
    /// The bot's inbox.
    pub ai_inbox_id: String,
    /// The inbox that humans staff.
    pub handoff_inbox_id: String,
    /// One more inbox of humans.
    pub other_inbox_id: String,
    /// Inboxes that were switched off.
    pub disabled_inbox_ids: Vec<String>,
    /// Whether an agent shows its inboxes, which the API's page does not promise.
    pub agents_show_inboxes: bool,
    /// The API user as an agent. Belongs to the AI inbox only.
    pub bot_agent_id: String,
    /// A human. Belongs to every inbox.
    pub human_agent_id: String,
    /// The human's name.
    pub human_agent_name: String,
    /// The topics there are.
    pub topic_ids: Vec<String>,
    /// The organization's rate limit; `None` for none.
    pub requests_per_second: Option<u32>,
    /// How it counts.
    pub limiter: Limiter,
    /// The window over which it counts: a second, but for a test that must not
    /// depend on the machine's speed.
    pub rate_window: Duration,
    /// Calls a second that another client of the organization makes.
    pub others_per_second: u32,
    /// How long a call and its answer are on the way.
    pub latency: Latency,
    /// `Retry-After`, in seconds, on a 429; `None` leaves it out.
    pub retry_after_seconds: Option<u32>,
    /// Whether new conversations are assigned to the bot.
    pub assign_to_bot: bool,
    /// Whether a conversation can be closed only with a topic.
    pub topics_required: bool,
    /// What `agentId` may be to mean nobody.
    pub agent_null: AgentNull,
    /// As whom a write through the API shows.
    pub api_initiator: ApiInitiator,
    /// Which events tell of a customer's message.
    pub message_events: MessageEvents,
    /// How far its clock is ahead: what has happened by now grows older at once.
    pub clock_ahead: Duration,
    /// Events that its API does not know, so that no webhook can have them.
    pub unknown_events: UnknownEvents,
    /// How long events take until `GET /events` shows them.
    pub events_lag: Duration,
    /// How webhooks are delivered.
    pub delivery: DeliveryOptions,
}

/// How the rate limit counts: its documentation doesn't say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limiter {
    /// So many in any second.
    SlidingSecond,
    /// So many in each second of the server's clock.
    WholeSeconds,
    /// A bucket that holds a second's worth and fills as fast.
    TokenBucket,
}

/// How long a call and its answer are on the way, both together.
#[derive(Debug, Clone, Copy, Default)]
pub struct Latency {
    /// At least so long, half of it each way.
    pub least: Duration,
    /// At most so much more, drawn for each way.
    pub jitter: Duration,
}

/// How webhooks are delivered.
#[derive(Debug, Clone)]
pub struct DeliveryOptions {
    /// How long a delivery may take.
    pub timeout: Duration,
    /// The waits between the attempts.
    pub retry_delays: Vec<Duration>,
    /// After so many failed attempts at one event the webhook is switched off.
    pub disable_after_failures: Option<u32>,
    /// What goes wrong on the way.
    pub chaos: Chaos,
}

/// Duplicated and delayed deliveries.
#[derive(Debug, Clone, Copy, Default)]
pub struct Chaos {
    /// Probability that an event is delivered twice.
    pub duplicate: f64,
    /// Probability that a delivery is late, and so perhaps out of order.
    pub delay: f64,
    /// The longest that it is late.
    pub longest_delay: Duration,
}

/// What `assignee.agentId` may be to mean nobody. Absent always may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentNull {
    /// `null` and `""`.
    Accepted,
    /// `null` only.
    NullOnly,
    /// `""` only.
    EmptyOnly,
    /// Neither.
    Refused,
}

/// As whom a write through the API shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiInitiator {
    /// `API`
    Api,
    /// `AGENT`
    Agent,
}

/// Which events tell of a customer's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageEvents {
    /// `CONTACT/MESSAGE_RECEIVED`, today's.
    Contact,
    /// `MESSAGE/RECEIVED`, the older.
    Legacy,
    /// Both, with different event ids.
    Both,
}

/// Events that the API does not know.
#[derive(Debug, Clone, Default)]
pub struct UnknownEvents {
    /// Their types.
    pub kinds: Vec<String>,
    /// Whether an error leaves out which of them it is about.
    pub are_unnamed: bool,
}

impl Default for GladlyOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            seed: 1,
            organization_name: "Simulated Shop".to_owned(),
            username: "bot@example.com".to_owned(),
            api_token: "gladly-token".to_owned(),
            roles: vec![Role::ApiUser, Role::Agent, Role::Administrator],
            ai_inbox_id: "ai-inbox".to_owned(),
            handoff_inbox_id: "human-inbox".to_owned(),
            other_inbox_id: "other-inbox".to_owned(),
            disabled_inbox_ids: Vec::new(),
            agents_show_inboxes: false,
            bot_agent_id: "gleen-bot".to_owned(),
            human_agent_id: "agent-ada".to_owned(),
            human_agent_name: "Ada".to_owned(),
            topic_ids: vec!["bot-handoff".to_owned(), "order-status".to_owned()],
            requests_per_second: Some(10),
            limiter: Limiter::SlidingSecond,
            rate_window: Duration::from_secs(1),
            others_per_second: 0,
            latency: Latency::default(),
            retry_after_seconds: None,
            assign_to_bot: false,
            topics_required: false,
            agent_null: AgentNull::Accepted,
            api_initiator: ApiInitiator::Api,
            message_events: MessageEvents::Contact,
            clock_ahead: Duration::ZERO,
            unknown_events: UnknownEvents::default(),
            events_lag: Duration::ZERO,
            delivery: DeliveryOptions::default(),
        }
    }
}

impl Default for DeliveryOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(15),
            retry_delays: [30, 300, 1800, 3600].map(Duration::from_secs).to_vec(),
            disable_after_failures: Some(4),
            chaos: Chaos::default(),
        }
    }
}
