//! The table of what Markdown becomes in email and elsewhere, and the promises
//! that hold for any text.

use proptest::prelude::*;

use super::*;
use crate::text::same::text_of;

struct Case {
    what: &'static str,
    markdown: &'static str,
    html: &'static str,
    plain: &'static str,
}

const fn case(
    what: &'static str,
    markdown: &'static str,
    html: &'static str,
    plain: &'static str,
) -> Case {
    Case {
        what,
        markdown,
        html,
        plain,
    }
}

const CASES: &[Case] = &[
    case(
        "emphasis and strong",
        "Hello **Jane**, your *order* __has__ ***shipped***.",
        "<p>Hello <strong>Jane</strong>, your <em>order</em> <strong>has</strong> <em><strong>shipped</strong></em>.</p>",
        "Hello Jane, your order has shipped.",
    ),
    case(
        "struck words",
        "It ships on ~~Monday~~ Tuesday.",
        "<p>It ships on ~Monday~ Tuesday.</p>",
        "It ships on ~Monday~ Tuesday.",
    ),
    case(
        "characters that only look like Markdown",
        "snake_case_word, 2 * 3 * 4, \\*not\\* #1 and $5 <3",
        "<p>snake_case_word, 2 * 3 * 4, *not* #1 and $5 &lt;3</p>",
        "snake_case_word, 2 * 3 * 4, *not* #1 and $5 <3",
    ),
    case(
        "headings",
        "# Title\n\nText\n\n## Returns\nWithin 30 days.\n\n#### Small\nPrint",
        "<h1>Title</h1><p>Text</p><h2>Returns</h2><p>Within 30 days.</p><p><strong>Small</strong></p><p>Print</p>",
        "Title\nText\n\nReturns\nWithin 30 days.\n\nSmall\nPrint",
    ),
    case(
        "nested lists",
        "- one\n- two\n  - inner\n    1. deep\n- three",
        "<ul><li>one</li><li>two<ul><li>inner<ol><li>deep</li></ol></li></ul></li><li>three</li></ul>",
        "- one\n- two\n  - inner\n    1. deep\n- three",
    ),
    case(
        "numbered items of several paragraphs",
        "1. First\n2. Second\n\n   More on second.\n3. Third",
        "<ol><li>First</li><li>Second<p>More on second.</p></li><li>Third</li></ol>",
        "1. First\n\n2. Second\n\n   More on second.\n\n3. Third",
    ),
    case(
        "a list that is announced, interrupted and continued",
        "Steps:\n1. Open\n2. Close\n\nThen wait.\n\n3. Go\n4. Stop",
        "<p>Steps:</p><ol><li>Open</li><li>Close</li></ol><p>Then wait.</p><div>3. Go</div><div>4. Stop</div>",
        "Steps:\n1. Open\n2. Close\n\nThen wait.\n\n3. Go\n4. Stop",
    ),
    case(
        "a list with blank lines between its items",
        "One:\n\n- a\n\n- b",
        "<p>One:</p><ul><li>a</li><li>b</li></ul>",
        "One:\n- a\n- b",
    ),
    case(
        "task lists",
        "- [x] Packed\n- [ ] Shipped",
        "<ul><li>[x] Packed</li><li>[ ] Shipped</li></ul>",
        "- [x] Packed\n- [ ] Shipped",
    ),
    case(
        "links",
        "See [our **guide**](https://acme.com/guide?a=1&b=2), [acme.com](https://acme.com/) or [mail us](mailto:help@acme.com).",
        "<p>See <a href=\"https://acme.com/guide?a=1&amp;b=2\" target=\"_blank\">our <strong>guide</strong></a>, <a href=\"https://acme.com/\" target=\"_blank\">acme.com</a> or <a href=\"mailto:help@acme.com\" target=\"_blank\">mail us</a>.</p>",
        "See our guide (https://acme.com/guide?a=1&b=2), https://acme.com/ or mail us (help@acme.com).",
    ),
    case(
        "autolinks",
        "<https://acme.com/x> and <help@acme.com>",
        "<p><a href=\"https://acme.com/x\" target=\"_blank\">https://acme.com/x</a> and <a href=\"mailto:help@acme.com\" target=\"_blank\">help@acme.com</a></p>",
        "https://acme.com/x and help@acme.com",
    ),
    case(
        "bare addresses",
        "Track it at https://acme.com/t?id=1&x=a_b_c. (Or http://acme.com.)",
        "<p>Track it at <a href=\"https://acme.com/t?id=1&amp;x=a_b_c\" target=\"_blank\">https://acme.com/t?id=1&amp;x=a_b_c</a>. (Or <a href=\"http://acme.com\" target=\"_blank\">http://acme.com</a>.)</p>",
        "Track it at https://acme.com/t?id=1&x=a_b_c. (Or http://acme.com.)",
    ),
    case(
        "links that lead nowhere safe",
        "[bad](javascript:alert(1)) [tel](tel:+1555) [rel](/help) [data](data:text/html,x)",
        "<p>bad tel rel data</p>",
        "bad tel rel data",
    ),
    case(
        "a link without words",
        "[](https://acme.com/empty)",
        "<p><a href=\"https://acme.com/empty\" target=\"_blank\">https://acme.com/empty</a></p>",
        "https://acme.com/empty",
    ),
    case(
        "images",
        "![Size chart](https://acme.com/size.png) ![inline](data:image/png;base64,AAA) ![](https://acme.com/b.png)",
        "<p><a href=\"https://acme.com/size.png\" target=\"_blank\">Size chart</a> inline <a href=\"https://acme.com/b.png\" target=\"_blank\">https://acme.com/b.png</a></p>",
        "Size chart (https://acme.com/size.png) inline https://acme.com/b.png",
    ),
    case(
        "an image as a link",
        "[![Logo](https://acme.com/l.png)](https://acme.com)",
        "<p><a href=\"https://acme.com\" target=\"_blank\">Logo</a></p>",
        "Logo (https://acme.com)",
    ),
    case(
        "an image without a description as a link",
        "[![ ](https://acme.com/l.png)](https://acme.com)",
        "<p><a href=\"https://acme.com\" target=\"_blank\">https://acme.com</a></p>",
        "https://acme.com",
    ),
    case(
        "an image among the words of a link",
        "[our ![new](https://acme.com/l.png) shop](https://acme.com)",
        "<p><a href=\"https://acme.com\" target=\"_blank\">our new shop</a></p>",
        "our new shop (https://acme.com)",
    ),
    case(
        "a link whose words name another host",
        "[https://**bank**.example](https://evil.example/x)",
        "<p><a href=\"https://evil.example/x\" target=\"_blank\">https://<strong>bank</strong>.example (https://evil.example/x)</a></p>",
        "https://bank.example (https://evil.example/x)",
    ),
    case(
        "an image whose description names another host",
        "![bank.example](https://evil.example/x.png)",
        "<p><a href=\"https://evil.example/x.png\" target=\"_blank\">bank.example (https://evil.example/x.png)</a></p>",
        "bank.example (https://evil.example/x.png)",
    ),
    case(
        "code",
        "Use `SAVE<10>`:\n\n```text\nline 1\n  line  2\n\nline 3\n```",
        "<p>Use SAVE&lt;10&gt;:</p><p>line 1<br>&nbsp;&nbsp;line &nbsp;2<br><br>line 3</p>",
        "Use SAVE<10>:\nline 1\n  line  2\n\nline 3",
    ),
    case(
        "a narrow table",
        "| Plan | Price |\n|---|--:|\n| Basic | $5 |\n| **Pro** | |",
        "<table><thead><tr><th>Plan</th><th>Price</th></tr></thead><tbody><tr><td>Basic</td><td>$5</td></tr><tr><td><strong>Pro</strong></td><td></td></tr></tbody></table>",
        "Plan | Price\nBasic | $5\nPro | -",
    ),
    case(
        "a wide table",
        "| Size | Chest | Waist | Hip |\n|---|---|---|---|\n| S | 90 | 75 | 95 |\n| M | 96 | | 101 |",
        "<table><thead><tr><th>Size</th><th>Chest</th><th>Waist</th><th>Hip</th></tr></thead><tbody><tr><td>S</td><td>90</td><td>75</td><td>95</td></tr><tr><td>M</td><td>96</td><td></td><td>101</td></tr></tbody></table>",
        "Size: S\nChest: 90\nWaist: 75\nHip: 95\n\nSize: M\nChest: 96\nHip: 101",
    ),
    case(
        "a table without headers",
        "| | |\n|---|---|\n| Weight | 2 kg |\n| Colour | blue<br>red |",
        "<table><tbody><tr><td>Weight</td><td>2 kg</td></tr><tr><td>Colour</td><td>blue<br>red</td></tr></tbody></table>",
        "Weight: 2 kg\nColour: blue red",
    ),
    case(
        "quotes",
        "> quoted **text**\n> second\n>\n> - item\n\nafter",
        "<dl><dd><p>quoted <strong>text</strong><br>second</p><ul><li>item</li></ul></dd></dl><p>after</p>",
        "> quoted text\n> second\n>\n> - item\n\nafter",
    ),
    case(
        "rules",
        "above\n\n---\n\nbelow",
        "<p>above</p><hr><p>below</p>",
        "above\n\nbelow",
    ),
    case(
        "footnotes",
        "Fact[^1] here.\n\n[^1]: The *note*.",
        "<p>Fact[1] here.</p><p>[1] The <em>note</em>.</p>",
        "Fact[1] here.\n\n[1] The note.",
    ),
    case(
        "line breaks",
        "soft\nbreak and hard  \nbreak\\\nagain",
        "<p>soft<br>break and hard<br>break<br>again</p>",
        "soft\nbreak and hard\nbreak\nagain",
    ),
    case(
        "simple tags",
        "a<br>b<br/>c <b>bold</b> <span style=\"color:red\">red</span> 1<sup>st</sup>",
        "<p>a<br>b<br>c bold red 1st</p>",
        "a\nb\nc bold red 1st",
    ),
    case(
        "a block of simple tags",
        "<p>Hello <b>you</b> &amp; &lt;b&gt;</p>\n<p>Second<br>line</p>",
        "<p>Hello you &amp; &lt;b&gt;<br>Second<br>line</p>",
        "Hello you & <b>\nSecond\nline",
    ),
    case(
        "tags that are not simple",
        "x <script>alert(1)</script> <img src=x onerror=alert(1)> if a <b and c> d",
        "<p>x &lt;script&gt;alert(1)&lt;/script&gt; &lt;img src=x onerror=alert(1)&gt; if a &lt;b and c&gt; d</p>",
        "x <script>alert(1)</script> <img src=x onerror=alert(1)> if a <b and c> d",
    ),
    case(
        "a block of tags that are not simple",
        "<iframe src=\"https://evil.example\"></iframe>",
        "<p>&lt;iframe src=&quot;<a href=\"https://evil.example\" target=\"_blank\">https://evil.example</a>&quot;&gt;&lt;/iframe&gt;</p>",
        "<iframe src=\"https://evil.example\"></iframe>",
    ),
    case(
        "entities",
        "5 &lt; 6 &amp; 7 &copy; &#x41; AT&T \"quoted\"",
        "<p>5 &lt; 6 &amp; 7 © A AT&amp;T &quot;quoted&quot;</p>",
        "5 < 6 & 7 © A AT&T \"quoted\"",
    ),
    case(
        "text in another script",
        "**送料**は¥500です。\n\n- 東京\n- 大阪",
        "<p><strong>送料</strong>は¥500です。</p><ul><li>東京</li><li>大阪</li></ul>",
        "送料は¥500です。\n\n- 東京\n- 大阪",
    ),
];

#[test]
fn markdown_becomes_gladlys_html_in_email() {
    for case in CASES {
        assert_eq!(to_html(&parse(case.markdown)), case.html, "{}", case.what);
    }
}

#[test]
fn markdown_becomes_readable_plain_text_elsewhere() {
    for case in CASES {
        assert_eq!(to_plain(&parse(case.markdown)), case.plain, "{}", case.what);
    }
}

#[test]
fn plain_text_keeps_its_lines_and_its_asterisks() {
    let blocks = paragraphs("Hello *you*,\n  see <b>https://acme.com</b>.\n\n\n\n- bye");
    assert_eq!(
        to_html(&blocks),
        "<p>Hello *you*,<br>  see &lt;b&gt;<a href=\"https://acme.com\" target=\"_blank\">\
         https://acme.com</a>&lt;/b&gt;.</p><p>- bye</p>"
    );
}

#[test]
fn nesting_beyond_all_sense_exhausts_nothing_and_keeps_its_words() {
    for opening in [
        "> ", "- ", "1. ", "**a ", "*a _b ", "[", "![", "<b>", "~~a *b ",
    ] {
        let markdown = format!("{}word", opening.repeat(5_000));
        let blocks = parse(&markdown);
        assert!(to_html(&blocks).contains("word"), "{opening}");
        assert!(to_plain(&blocks).contains("word"), "{opening}");
    }
}

/// What an email and a chat show for a link with these words.
fn link(words: &str, address: &str) -> (String, String) {
    let blocks = parse(&format!("[{words}]({address})"));
    (
        text_of(&to_html(&blocks)).trim().to_owned(),
        to_plain(&blocks),
    )
}

/// Words, the address they are put on, and the address to be shown with them.
const BELIED: &[(&str, &str, &str)] = &[
    (
        "https://bank.example",
        "https://evil.example/x",
        "https://evil.example/x",
    ),
    (
        "www.bank.example",
        "https://evil.example",
        "https://evil.example",
    ),
    (
        "bank.example/login",
        "https://evil.example",
        "https://evil.example",
    ),
    (
        "Log in at Bank.Example!",
        "https://evil.example",
        "https://evil.example",
    ),
    (
        "bank.example",
        "https://bank.example.evil.com",
        "https://bank.example.evil.com",
    ),
    (
        "bank.example",
        "https://evil.com/bank.example",
        "https://evil.com/bank.example",
    ),
    (
        "bank.example",
        "https://evil.com?bank.example",
        "https://evil.com?bank.example",
    ),
    (
        "bank.example",
        "https://login-bank.example",
        "https://login-bank.example",
    ),
    (
        "bank.example",
        "https://login.bank.example",
        "https://login.bank.example",
    ),
    (
        "bank.example and evil.com",
        "https://evil.com",
        "https://evil.com",
    ),
    (
        "evil.com@bank.example",
        "https://evil.com",
        "https://evil.com",
    ),
    ("https://bank", "https://evil.com", "https://evil.com"),
    ("10.0.0.1", "https://10.0.0.2", "https://10.0.0.2"),
    (
        "bank.example:443",
        "https://bank.example:8443/x",
        "https://bank.example:8443/x",
    ),
    // Names and passwords in front of the host pass for one.
    (
        "bank.example",
        "https://bank.example@evil.com",
        "https://evil.com/",
    ),
    (
        "bank.example",
        "https://bank.example:443@evil.com/x",
        "https://evil.com/x",
    ),
    (
        "bank.example",
        r"https://evil.com\\@bank.example",
        "https://evil.com/@bank.example",
    ),
    // The second letter is Cyrillic.
    (
        "bank.example",
        "https://b\u{430}nk.example",
        "https://xn--bnk-6cd.example/",
    ),
    (
        "b\u{430}nk.example",
        "https://bank.example/x",
        "https://bank.example/x",
    ),
    (
        "b\u{430}nk.example",
        "https://b\u{430}nk.example",
        "https://xn--bnk-6cd.example/",
    ),
    (
        "bank\u{200b}.example",
        "https://evil.com",
        "https://evil.com",
    ),
    (
        "bank\u{3002}example",
        "https://evil.com",
        "https://evil.com",
    ),
    (
        "help@bank.example",
        "mailto:help@evil.example",
        "help@evil.example",
    ),
    (
        "help@bank.example",
        "mailto:help@bank.example?cc=eve@evil.example",
        "help@bank.example?cc=eve@evil.example",
    ),
    (
        "bank.example",
        "mailto:x@evil.com,help@bank.example",
        "x@evil.com,help@bank.example",
    ),
];

#[test]
fn words_that_name_another_host_than_the_address_show_the_address() {
    for (words, address, shown) in BELIED {
        let expected = format!("{words} ({shown})");
        assert_eq!(
            link(words, address),
            (expected.clone(), expected),
            "{words} to {address}"
        );
    }
}

/// Words and an address that they do not belie.
const HONEST: &[(&str, &str)] = &[
    ("bank.example", "https://bank.example/login"),
    ("Bank.Example", "https://www.bank.example/"),
    ("www.bank.example/login.php", "https://BANK.example/login"),
    (
        "https://bank.example/?to=evil.com",
        "https://bank.example/x",
    ),
    ("bank.example:8443", "https://bank.example:8443/x"),
    ("bank.example:443", "https://bank.example/x"),
    ("bank.example", "https://bank.example.:8443/x"),
    (
        "our guide, v2.0 (e.g. for the U.S.)... Read it",
        "https://bank.example",
    ),
    ("size-chart.pdf", "https://bank.example/a.pdf"),
    ("and/or", "https://bank.example"),
    ("jane.doe@bank.example", "mailto:jane.doe@bank.example"),
    (
        "Write to help@bank.example",
        "mailto:help@bank.example?subject=Order",
    ),
];

#[test]
fn words_that_name_the_same_host_or_none_stand_alone_in_email() {
    for (words, address) in HONEST {
        let (email, _) = link(words, address);
        assert_eq!(email, *words, "{words} to {address}");
    }
}

#[test]
fn a_bare_address_that_passes_for_another_is_not_made_a_link() {
    for address in [
        "https://bank.example@evil.com",
        "https://b\u{430}nk.example",
    ] {
        let blocks = parse(&format!("See {address} now"));
        assert_eq!(to_html(&blocks), format!("<p>See {address} now</p>"));
    }
}

#[test]
fn nothing_that_turns_the_direction_of_text_is_written() {
    let markdown = "a&#x202e;b [c&#8238;d](https://acme.com/&#x202e;gnp.exe) \
        ![e&#x2067;f](https://acme.com/&#x200f;x) <b>&#x61c;g</b> <https://acme.com/%E2%80%AE>\n\n\
        <p>&#x202e;h</p>";
    let blocks = parse(markdown);
    assert_eq!(
        to_plain(&blocks),
        "ab cd (https://acme.com/gnp.exe) ef (https://acme.com/x) g https://acme.com/%E2%80%AE\n\nh"
    );
    let html = to_html(&blocks);
    for turning in ['\u{202e}', '\u{2067}', '\u{200f}', '\u{61c}'] {
        assert!(!html.contains(turning), "{html}");
    }
    assert!(html.contains("href=\"https://acme.com/gnp.exe\""), "{html}");
}

#[test]
fn a_tables_headers_are_not_repeated_until_they_are_most_of_the_text() {
    let markdown = format!(
        "|{}|b|c|d|\n|-|-|-|-|\n{}",
        "a".repeat(50_000),
        "|1|2|3|4|\n".repeat(5_000)
    );
    let plain = to_plain(&parse(&markdown));
    assert!(plain.len() < 3 * markdown.len(), "{} bytes", plain.len());
}

/// The first thing in `html` that Gladly's limited HTML does not have.
fn find_fault(html: &str) -> Option<String> {
    const ALLOWED: &[&str] = &[
        "a", "br", "dd", "div", "dl", "em", "h1", "h2", "h3", "hr", "li", "ol", "p", "strong",
        "table", "tbody", "td", "th", "thead", "tr", "ul",
    ];
    let mut open = Vec::new();
    for piece in html.split('<').skip(1) {
        let Some((tag, text)) = piece.split_once('>') else {
            return Some(format!("not closed: {piece}"));
        };
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        if text.contains('>') || !ALLOWED.contains(&name.trim_start_matches('/')) {
            return Some(format!("not allowed: {piece}"));
        }
        if !attributes
            .split('"')
            .step_by(2)
            .all(|name| matches!(name.trim(), "href=" | "target=" | ""))
        {
            return Some(format!("attributes: {piece}"));
        }
        if let Some(address) = attributes.strip_prefix("href=\"") {
            let address = address.to_ascii_lowercase();
            if !["http://", "https://", "mailto:"]
                .iter()
                .any(|scheme| address.starts_with(scheme))
            {
                return Some(format!("address: {piece}"));
            }
        }
        match name.strip_prefix('/') {
            Some(name) if open.pop() != Some(name) => return Some(format!("order: {piece}")),
            None if !["br", "hr"].contains(&name) => open.push(name),
            _ => {}
        }
    }
    open.pop().map(|name| format!("left open: {name}"))
}

/// Pieces that mean something to a Markdown or an HTML parser, in any order.
fn noise() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "**",
        "*",
        "_",
        "~~",
        "`",
        "```\n",
        "# ",
        "- ",
        "1. ",
        "7) ",
        "> ",
        "|",
        "|---|\n",
        "\n",
        "\n\n",
        "    ",
        "\t",
        "<b>",
        "</b>",
        "<br>",
        "<script>",
        "</script>",
        "<p>",
        "</div>",
        "<a href=\"javascript:alert(1)\">",
        "<img src=x onerror=alert(1)>",
        "<!--",
        "-->",
        "<?x",
        "<![CDATA[",
        "[x](javascript:alert(1))",
        "[y](https://a.b/\"><script>)",
        "[",
        "](",
        ")",
        "![a](",
        "<javascript:alert(1)>",
        "https://x.y/'onclick='",
        "mailto:",
        "&lt;",
        "&#60;",
        "[^1]",
        "[^1]: ",
        "- [x] ",
        "\\",
        "---\n",
        "word",
        " ",
        "é",
        "👍🏽",
        "\u{0}",
        "\u{202e}",
    ];
    prop::collection::vec(prop::sample::select(PIECES), 0..60).prop_map(|pieces| pieces.concat())
}

/// A document as its Markdown and the words a reader sees, in order.
fn document() -> impl Strategy<Value = (String, Vec<String>)> {
    let words = || prop::collection::vec("[a-z]{2,8}", 4..5);
    let block = (0_usize..12, words()).prop_map(|(kind, words)| {
        let [a, b, c, d] = [&words[0], &words[1], &words[2], &words[3]];
        let markdown = match kind {
            0 => format!("{a} **{b}** *{c}* {d}"),
            1 => format!("## {a} {b}\n{c} {d}"),
            2 => format!("- {a}\n- {b}\n  - {c}\n- {d}"),
            3 => format!("3. {a}\n4. {b}\n\n   {c}\n5. {d}"),
            4 => format!("> {a}\n> {b}\n\n{c} {d}"),
            5 => format!("| {a} | {b} |\n|---|---|\n| {c} | {d} |"),
            6 => format!("```\n{a}\n {b}\n```\n`{c}` {d}"),
            7 => format!("[{a} {b}](/0) ~~{c}~~ [{d}](https://0.0)"),
            8 => format!("{a}<br>{b} <b>{c}</b> <i>{d}</i>"),
            9 => format!("<p>{a} <b>{b}</b></p>\n<div>{c}<br>{d}</div>"),
            10 => format!("{a}\n\n---\n\n{b}  \n{c}\\\n{d}"),
            _ => format!("- [ ] {a}\n- [x] ***{b}***\n\n![{c}](/0) {d}"),
        };
        (markdown, words)
    });
    prop::collection::vec(block, 1..6).prop_map(|blocks| {
        let (markdown, words): (Vec<_>, Vec<_>) = blocks.into_iter().unzip();
        (markdown.join("\n\n<!-- -->\n\n"), words.concat())
    })
}

fn has_in_order(text: &str, words: &[String]) -> bool {
    let mut seen = text.split(|character: char| !character.is_alphanumeric());
    words.iter().all(|word| seen.any(|found| found == word))
}

proptest! {
    #[test]
    fn whatever_comes_in_only_gladlys_html_goes_out(markdown in noise()) {
        prop_assert_eq!(find_fault(&to_html(&parse(&markdown))), None);
        prop_assert_eq!(find_fault(&to_html(&paragraphs(&markdown))), None);
    }

    #[test]
    fn any_text_at_all_can_be_written(markdown in any::<String>()) {
        let blocks = parse(&markdown);
        prop_assert_eq!(find_fault(&to_html(&blocks)), None);
        let _ = to_plain(&blocks);
    }

    #[test]
    fn visible_words_are_kept_in_order((markdown, words) in document()) {
        let blocks = parse(&markdown);
        let (html, plain) = (to_html(&blocks), to_plain(&blocks));
        prop_assert!(has_in_order(&plain, &words), "{}", plain);
        prop_assert!(has_in_order(&text_of(&html).replace('~', " "), &words), "{}", html);
    }

    #[test]
    fn no_marks_are_left_in_plain_text((markdown, _) in document()) {
        let plain = to_plain(&parse(&markdown));
        prop_assert!(!plain.contains("**") && !plain.contains('#') && !plain.contains('`'), "{}", plain);
    }
}
