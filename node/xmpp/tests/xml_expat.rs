//! expat as a second opinion: what the reader accepts, expat accepts too, and source and canonical
//! form mean the same to it. Needs `python3`, whose standard library carries expat; says so loudly
//! and does nothing where it is missing.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rookery_xmpp::entropy::{Entropy, Seeded};
use rookery_xmpp::xml::testing::{Generator, STANZAS, Seen, Setup, read};

/// Reads pairs of documents, each after a line with its length; answers each pair with one line.
const SCRIPT: &str = r#"
import sys
from xml.parsers import expat

def facts(document):
    found = []
    # The separator must not occur in a namespace; the reader refuses those with white space.
    parser = expat.ParserCreate(None, ' ')
    def text(data):
        if found and found[-1][0] == 'text':
            found[-1] = ('text', found[-1][1] + data)
        else:
            found.append(('text', data))
    parser.StartElementHandler = lambda name, attrs: found.append(('start', name, sorted(attrs.items())))
    parser.EndElementHandler = lambda name: found.append(('end', name))
    parser.CharacterDataHandler = text
    parser.Parse(document, True)
    return found

def next_document():
    line = sys.stdin.buffer.readline()
    return sys.stdin.buffer.read(int(line)) if line else None

while (source := next_document()) is not None:
    canonical = next_document()
    try:
        expected = facts(source)
        found = facts(canonical)
        answer = 'same' if expected == found else f'differ: {expected!r} {found!r}'
    except expat.ExpatError as error:
        answer = f'refused: {error}'
    print(answer, flush=True)
"#;

/// expat in a process of its own.
struct Expat {
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Expat {
    /// Starts it, if there is a python3.
    fn start() -> Option<Self> {
        let mut child = Command::new("python3")
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let questions = child.stdin.take();
        let answers = BufReader::new(child.stdout.take()?);
        Some(Self {
            child,
            questions,
            answers,
        })
    }

    /// Whether two elements mean the same inside a stream.
    fn compare(&mut self, setup: &Setup, source: &[u8], canonical: &[u8]) -> String {
        let questions = self.questions.as_mut().expect("open until the end");
        for element in [source, canonical] {
            let open = setup.open();
            let document = [open.as_bytes(), element, b"</stream:stream>"].concat();
            writeln!(questions, "{}", document.len()).expect("python3 listens");
            questions.write_all(&document).expect("python3 listens");
        }
        questions.flush().expect("python3 listens");
        let mut answer = String::new();
        self.answers
            .read_line(&mut answer)
            .expect("python3 answers");
        answer
    }
}

impl Drop for Expat {
    fn drop(&mut self) {
        self.questions = None;
        _ = self.child.wait();
    }
}

/// Compares what is accepted of some bytes; the number of elements compared.
fn compare(expat: &mut Expat, setup: &Setup, bytes: &[u8]) -> usize {
    let mut reader = setup.reader(true);
    let reading = read(&mut reader, &[bytes], |_| {});
    let ([Seen::Element(canonical, _)], None, true) =
        (&reading.items[..], reading.error, reader.is_idle())
    else {
        return 0;
    };
    // White space between elements is not part of any.
    let answer = expat.compare(setup, bytes.trim_ascii(), canonical.as_bytes());
    let source = String::from_utf8_lossy(bytes);
    assert_eq!(
        answer.trim_end(),
        "same",
        "\n  source {source:?}\n  canonical {canonical:?}"
    );
    1
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a bound on the test's own run time"
)]
fn expat_sees_the_same_in_source_and_canonical_form() {
    let Some(mut expat) = Expat::start() else {
        eprintln!("SKIPPED: no python3, so nothing was compared with expat");
        return;
    };
    let plain: Vec<Setup> = Setup::all()
        .into_iter()
        .filter(|setup| setup.from.is_none())
        .collect();
    for stanza in STANZAS {
        assert_eq!(
            compare(&mut expat, &plain[0], stanza.as_bytes()),
            1,
            "{stanza}"
        );
    }
    let seconds = std::env::var("ROOKERY_FUZZ_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    let start = Instant::now();
    let (mut case, mut compared) = (0, 0);
    while start.elapsed() < Duration::from_secs(seconds.unwrap_or(3)) {
        let mut entropy = Seeded::new(case);
        let setup = &plain[entropy.below(plain.len() as u64) as usize];
        let bytes = Generator::new(&mut entropy).element();
        compared += compare(&mut expat, setup, &bytes);
        case += 1;
    }
    assert!(
        compared * 10 > case as usize,
        "only {compared} of {case} were acceptable"
    );
}
