//! A webhook as Gladly has it registered, and the events that the relay wants
//! of it (Gladly API description, "Webhooks").

use serde_json::Value;

/// The events that tell of a customer's message: today's, then the older one.
pub const MESSAGE_EVENTS: [&str; 2] = ["CONTACT/MESSAGE_RECEIVED", "MESSAGE/RECEIVED"];

/// What else the relay goes by.
pub const OTHER_EVENTS: [&str; 6] = [
    "CONVERSATION/CREATED",
    "CONVERSATION/CLOSED",
    "CONVERSATION/REOPENED",
    "CONVERSATION_STATUS/UPDATED",
    "CONVERSATION_ASSIGNEE/UPDATED",
    "CUSTOMER/MERGED",
];

/// One webhook. Its headers' values and credentials can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Its id, as Gladly writes it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Where events are posted.
    pub url: String,
    /// Their types.
    pub events: Vec<String>,
    /// The names of the headers on each delivery.
    pub header_keys: Vec<String>,
    /// Whether deliveries bring HTTP Basic credentials.
    pub has_credentials: bool,
    /// Whether events are delivered.
    pub enabled: bool,
    /// When Gladly switched it off because deliveries failed.
    pub switched_off_at: Option<String>,
}

impl Registration {
    /// Reads the answer to `GET /webhooks`; none if it is no list.
    pub fn read_all(value: &Value) -> Option<Vec<Self>> {
        Some(value.as_array()?.iter().filter_map(Self::read).collect())
    }

    fn read(value: &Value) -> Option<Self> {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let flag = |name: &str| value.get(name).and_then(Value::as_bool).unwrap_or(false);
        Some(Self {
            id: text("id")?.to_owned(),
            name: text("name").unwrap_or_default().to_owned(),
            url: text("url")?.to_owned(),
            events: strings(value.get("events")),
            header_keys: strings(value.get("headerKeys")),
            has_credentials: flag("hasCredentials"),
            enabled: flag("enabled"),
            switched_off_at: text("disabledAtDueToRetryLimit").map(str::to_owned),
        })
    }

    /// Whether it tells of customers' messages.
    pub fn tells_of_messages(&self) -> bool {
        MESSAGE_EVENTS.iter().any(|event| self.has(event))
    }

    /// Whether it is subscribed to an event.
    pub fn has(&self, event: &str) -> bool {
        self.events.iter().any(|has| has == event)
    }

    /// Whether it sends a header of this name.
    pub fn sends(&self, header: &str) -> bool {
        self.header_keys
            .iter()
            .any(|key| key.eq_ignore_ascii_case(header))
    }
}

fn strings(value: Option<&Value>) -> Vec<String> {
    let values = value.and_then(Value::as_array).map(Vec::as_slice);
    let texts = values.unwrap_or_default().iter().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}
