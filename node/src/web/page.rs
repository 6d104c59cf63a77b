//! The pages as text: no script, nothing from elsewhere, readable on a phone.

use qrcode::{Color, QrCode};
use rookery_control::{InviteKind, InviteTerms};
use rookery_xmpp::datetime;
use rookery_xmpp::invitation::Invitation;
use rookery_xmpp::jid::Jid;

/// What there is to say of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Good at this moment.
    Good(InviteTerms),
    /// It was good once.
    Over,
    /// There is none, or there was one long ago.
    Unknown,
    /// It may be good, but nobody can register now.
    Closed,
    /// Nobody can say at the moment.
    NotNow,
}

/// The page about an invitation.
pub(super) fn invitation(standing: &Standing, token: &str) -> String {
    match standing {
        Standing::Good(terms) => good(terms, token),
        Standing::Over => note(
            "This invitation is over",
            "It has expired, or was used already. Ask whoever gave it to you for another one.",
        ),
        Standing::Unknown => note(
            "There is no such invitation",
            "Look whether the address is complete, or ask whoever gave it to you.",
        ),
        Standing::Closed => note(
            "No accounts are made here now",
            "Ask whoever gave you this invitation when that changes.",
        ),
        Standing::NotNow => note(
            "Please come back in a minute",
            "Invitations cannot be looked up at the moment. Yours is as good as before.",
        ),
    }
}

/// A page with a heading and a line.
pub(super) fn note(title: &str, text: &str) -> String {
    document(title, &format!("<h1>{title}</h1>\n<p>{text}</p>\n"))
}

fn good(terms: &InviteTerms, token: &str) -> String {
    let link = link(terms, token);
    let uri = escaped(&link.uri());
    let host = escaped(&terms.host);
    let title = format!("Join {host}");
    let who = match (&terms.by, &terms.name) {
        (Some(by), _) => format!("<strong>{}</strong> invites you to chat.", escaped(by)),
        (None, Some(name)) => format!(
            "You are invited to the account <strong>{}@{host}</strong>.",
            escaped(name)
        ),
        (None, None) => format!("You are invited to an account at <strong>{host}</strong>."),
    };
    let choose = match &terms.name {
        // No other one is let in with it, whoever made it.
        Some(name) => format!(
            "Your username is <strong>{}</strong>. Choose a password.",
            escaped(name)
        ),
        None => "Choose a username and a password.".to_owned(),
    };
    let until = escaped(&datetime::format(terms.expires));
    let code = code(&link.uri()).unwrap_or_default();
    let clients = clients();
    document(
        &title,
        &format!(
            "<h1>{title}</h1>\n<p>{who} {host} is a server for XMPP, an open network for messages.</p>\n\
             <ol>\n<li>Install an app, if you have none:\n{clients}</li>\n\
             <li>Open the invitation with it:\n<p><a class=\"button\" href=\"{uri}\">Open the invitation</a></p></li>\n\
             <li>{choose}</li>\n</ol>\n\
             <p>Your app is on another device? Scan this with it:</p>\n{code}\n\
             <p>Or copy this address into it:</p>\n<p><code>{uri}</code></p>\n\
             <p class=\"small\">The invitation is good until {until}. Keep it to yourself: whoever has this \
             address can use it.</p>\n"
        ),
    )
}

fn link<'a>(terms: &InviteTerms, token: &'a str) -> Invitation<'a> {
    let inviter = terms.by.as_deref().and_then(|by| Jid::parse(by).ok());
    let inviter = inviter.as_ref().and_then(|jid| jid.local());
    match (terms.kind, inviter) {
        (InviteKind::Contact, Some(inviter)) if terms.name.is_none() => {
            Invitation::to_roster(&terms.host, inviter, token)
        }
        _ => Invitation::to_register(&terms.host, terms.name.as_deref(), token),
    }
}

/// Apps that are kept up and know such addresses, by what they run on.
const CLIENTS: &[(&str, &[(&str, &str)])] = &[
    (
        "Android",
        &[
            ("Conversations", "https://conversations.im/"),
            ("Cheogram", "https://cheogram.com/"),
        ],
    ),
    (
        "iPhone and iPad",
        &[
            ("Monal", "https://monal-im.org/"),
            ("Siskin", "https://siskin.im/"),
        ],
    ),
    (
        "Linux",
        &[
            ("Dino", "https://dino.im/"),
            ("Gajim", "https://gajim.org/"),
        ],
    ),
    ("Windows", &[("Gajim", "https://gajim.org/")]),
    (
        "Mac",
        &[
            ("Monal", "https://monal-im.org/"),
            ("Beagle", "https://beagle.im/"),
        ],
    ),
];

fn clients() -> String {
    let rows = CLIENTS.iter().map(|(platform, apps)| {
        let apps = apps
            .iter()
            .map(|(name, url)| format!("<a href=\"{url}\" rel=\"noreferrer\">{name}</a>"));
        let apps = apps.collect::<Vec<_>>().join(", ");
        format!("<li>{platform}: {apps}</li>\n")
    });
    format!("<ul>\n{}</ul>\n", rows.collect::<String>())
}

/// The address as a picture that apps read with the camera; without one if it is too long for that.
fn code(uri: &str) -> Option<String> {
    let code = QrCode::new(uri).ok()?;
    let width = code.width();
    let dark = code.to_colors().into_iter().enumerate();
    let dark = dark.filter(|(_, color)| *color == Color::Dark);
    let squares = dark.map(|(at, _)| {
        let (x, y) = (at % width + QUIET, at / width + QUIET);
        format!("M{x} {y}h1v1h-1z")
    });
    let (squares, side) = (squares.collect::<String>(), width + 2 * QUIET);
    Some(format!(
        "<svg class=\"code\" viewBox=\"0 0 {side} {side}\" role=\"img\" aria-label=\"the invitation as a QR code\" \
         shape-rendering=\"crispEdges\"><path fill=\"#fff\" d=\"M0 0h{side}v{side}H0z\"/>\
         <path fill=\"#000\" d=\"{squares}\"/></svg>"
    ))
}

/// Light squares around a code, without which it is not found.
const QUIET: usize = 4;

fn document(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"robots\" content=\"noindex\">\n<title>{title}</title>\n\
         <link rel=\"stylesheet\" href=\"/style.css\">\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )
}

/// How pages look, in light and dark.
pub(super) const STYLE: &str = ":root { color-scheme: light dark; }\n\
body { font: 1.1rem/1.5 system-ui, sans-serif; margin: 0; }\n\
main { max-width: 34rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere; }\n\
h1 { font-size: 1.6rem; line-height: 1.2; }\n\
li { margin: .4rem 0; }\n\
.button { display: inline-block; padding: .7rem 1.2rem; border-radius: .4rem; background: #1a5fb4; color: #fff; \
text-decoration: none; font-weight: 600; }\n\
.code { display: block; width: 14rem; max-width: 100%; }\n\
.small { font-size: .9rem; }\n";

/// As text and as the value of an attribute in double quotes.
fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, character| {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use rookery_xmpp::clock::Timestamp;

    use super::*;

    fn terms(kind: InviteKind, by: Option<&str>, name: Option<&str>) -> InviteTerms {
        InviteTerms {
            kind,
            host: "a.example".into(),
            by: by.map(str::to_owned),
            name: name.map(str::to_owned),
            expires: Timestamp(1_800_000_000_000),
        }
    }

    fn page(terms: InviteTerms) -> String {
        invitation(&Standing::Good(terms), "abc")
    }

    #[test]
    fn a_page_says_who_invites_and_gives_the_address_for_apps() {
        let any = page(terms(InviteKind::Account, None, None));
        assert!(
            any.contains("href=\"xmpp:a.example?register;preauth=abc\""),
            "{any}"
        );
        assert!(any.contains("2027-01-15"), "{any}");
        let named = page(terms(InviteKind::Account, None, Some("juliet")));
        assert!(
            named.contains("xmpp:juliet@a.example?register;preauth=abc"),
            "{named}"
        );
        assert!(
            named.contains("Your username is <strong>juliet</strong>."),
            "{named}"
        );
        assert!(!named.contains("a username and"), "{named}");
        assert!(any.contains("Choose a username and a password."), "{any}");
        let contact = page(terms(InviteKind::Contact, Some("romeo@a.example"), None));
        assert!(
            contact.contains("xmpp:romeo@a.example?roster;preauth=abc;ibr=y"),
            "{contact}"
        );
        assert!(
            contact.contains("<strong>romeo@a.example</strong> invites you"),
            "{contact}"
        );
    }

    #[test]
    fn nothing_of_a_page_is_a_script_or_comes_from_elsewhere() {
        for standing in [
            Standing::Good(terms(InviteKind::Account, None, None)),
            Standing::Over,
            Standing::Unknown,
            Standing::Closed,
            Standing::NotNow,
        ] {
            let page = invitation(&standing, "abc");
            for forbidden in ["<script", "src=", "style=", "onclick", "http://", "<iframe"] {
                assert!(!page.contains(forbidden), "{forbidden}: {page}");
            }
            let token_shown = page.contains("abc");
            assert_eq!(token_shown, matches!(standing, Standing::Good(_)), "{page}");
        }
    }

    #[test]
    fn what_others_have_named_is_text() {
        let odd = page(InviteTerms {
            host: "a\"><script>".into(),
            ..terms(InviteKind::Account, Some("<b>'&@x"), None)
        });
        assert!(!odd.contains("<script>") && !odd.contains("<b>"), "{odd}");
        assert!(odd.contains("&lt;b&gt;&#39;&amp;@x"), "{odd}");
    }

    #[test]
    fn a_code_has_its_three_corners_and_a_quiet_edge() {
        let code = code("xmpp:a.example?register;preauth=abc").expect("short enough");
        for corner in ["M4 4h1v1h-1z", "M10 4h1v1h-1z", "M4 10h1v1h-1z"] {
            assert!(code.contains(corner), "{corner}");
        }
        assert!(!code.contains("M3 ") && !code.contains(" 3h1v1"), "{code}");
        assert_eq!(super::code(&"x".repeat(4_000)), None);
    }
}
