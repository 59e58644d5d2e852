//! Telling a language by the little words that its short sentences consist of.

use std::collections::HashSet;

/// So many different common words have to be found …
const FEWEST_FOUND: usize = 3;

/// … and so many times as many as of any other language.
const LEAD: usize = 2;

/// The language whose common words `text` is clearly full of.
pub(super) fn language(text: &str) -> Option<&'static str> {
    let lower = text.to_lowercase();
    let words: HashSet<&str> = lower
        .split(|character: char| !character.is_alphabetic())
        .filter(|word| !word.is_empty())
        .collect();
    let mut found: Vec<(usize, Option<&'static str>)> = COMMON_WORDS
        .iter()
        .map(|(code, common)| {
            (
                common.iter().filter(|word| words.contains(*word)).count(),
                *code,
            )
        })
        .collect();
    found.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    match found[..] {
        [(first, code), (second, _), ..] if first >= FEWEST_FOUND && first >= LEAD * second => code,
        _ => None,
    }
}

/// Languages told by their words. Danish and Norwegian share theirs, so they
/// are here only to keep their speakers from being taken for Swedes.
const COMMON_WORDS: &[(Option<&str>, &[&str])] = &[
    (
        Some("en"),
        &[
            "the", "is", "my", "i", "to", "and", "you", "it", "have", "not", "can", "for", "of",
            "this", "that", "was", "what", "your", "do", "with", "are", "would", "like", "when",
            "how", "where", "please", "but", "has", "on", "get", "there", "hello", "order",
            "never", "help",
        ],
    ),
    (
        Some("de"),
        &[
            "ich",
            "ist",
            "und",
            "die",
            "der",
            "das",
            "nicht",
            "mein",
            "meine",
            "wo",
            "wie",
            "bitte",
            "habe",
            "ein",
            "eine",
            "zu",
            "für",
            "auf",
            "mit",
            "kann",
            "wann",
            "sie",
            "es",
            "hallo",
            "bestellung",
            "noch",
            "am",
            "diese",
        ],
    ),
    (
        Some("fr"),
        &[
            "je", "est", "et", "le", "la", "les", "ma", "mon", "une", "pas", "où", "que", "vous",
            "pour", "ai", "dans", "sur", "quand", "votre", "comment", "bonjour", "commande",
            "elle", "ne", "des",
        ],
    ),
    (
        Some("es"),
        &[
            "el", "la", "mi", "que", "es", "no", "un", "una", "por", "favor", "dónde", "donde",
            "para", "está", "con", "los", "quiero", "cuándo", "hola", "cómo", "se", "lo", "de",
            "pedido",
        ],
    ),
    (
        Some("pt"),
        &[
            "o",
            "a",
            "os",
            "meu",
            "minha",
            "que",
            "não",
            "um",
            "uma",
            "por",
            "favor",
            "onde",
            "para",
            "está",
            "com",
            "quero",
            "quando",
            "olá",
            "como",
            "de",
            "encomenda",
            "na",
            "pedido",
        ],
    ),
    (
        Some("it"),
        &[
            "il", "la", "mio", "mia", "che", "è", "non", "un", "una", "per", "dove", "dov", "con",
            "quando", "ho", "sono", "di", "ciao", "come", "ordine", "vorrei", "del", "grazie",
        ],
    ),
    (
        Some("nl"),
        &[
            "ik",
            "is",
            "het",
            "de",
            "mijn",
            "een",
            "niet",
            "en",
            "waar",
            "wanneer",
            "kan",
            "hoe",
            "van",
            "voor",
            "heb",
            "met",
            "graag",
            "bestelling",
            "dat",
            "die",
            "zou",
        ],
    ),
    (
        Some("sv"),
        &[
            "jag",
            "är",
            "och",
            "min",
            "mitt",
            "inte",
            "en",
            "ett",
            "var",
            "när",
            "hur",
            "kan",
            "har",
            "för",
            "på",
            "det",
            "att",
            "beställning",
            "hej",
        ],
    ),
    (
        None,
        &[
            "jeg", "er", "og", "min", "mitt", "ikke", "en", "et", "hvor", "når", "hvordan", "kan",
            "har", "for", "på", "det", "at", "med", "hei", "hej",
        ],
    ),
    (
        Some("pl"),
        &[
            "gdzie",
            "jest",
            "moje",
            "nie",
            "się",
            "to",
            "na",
            "czy",
            "jak",
            "kiedy",
            "mam",
            "proszę",
            "dzień",
            "dobry",
            "zamówienie",
            "chcę",
            "w",
            "z",
        ],
    ),
];
