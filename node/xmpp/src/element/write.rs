//! Writing the canonical form.

use super::{Attr, Element, Node, Word};
use crate::escape::{escape_attr, escape_text};
use crate::ns;

/// Appends the canonical form of `element`.
pub(super) fn write(element: &Element, out: &mut Vec<u8>) {
    write_below(element, ns::CLIENT, out);
}

/// Recursion is as deep as the tree: what was read is at most `DEPTH_MAX` deep, what modules build
/// is flat.
fn write_below(element: &Element, parent_ns: &str, out: &mut Vec<u8>) {
    let name = element.name.as_str().as_bytes();
    let namespace = element.ns.as_str();
    out.push(b'<');
    out.extend_from_slice(name);
    if namespace != parent_ns {
        write_attr(b"xmlns", namespace, out);
    }
    write_attrs(&element.attrs, out);
    if element.nodes.is_empty() {
        out.extend_from_slice(b"/>");
        return;
    }
    out.push(b'>');
    for node in &element.nodes {
        match node {
            Node::Element(child) => write_below(child, namespace, out),
            Node::Text(text) => escape_text(text, out),
        }
    }
    out.extend_from_slice(b"</");
    out.extend_from_slice(name);
    out.push(b'>');
}

fn write_attrs(attrs: &[Attr], out: &mut Vec<u8>) {
    let mut declared: Vec<&Word> = Vec::new();
    for Attr { ns, name, value } in attrs {
        let Some(ns) = ns else {
            write_attr(name.as_str().as_bytes(), value, out);
            continue;
        };
        let at = declared
            .iter()
            .position(|known| *known == ns)
            .unwrap_or_else(|| {
                write_attr(
                    format!("xmlns:a{}", declared.len()).as_bytes(),
                    ns.as_str(),
                    out,
                );
                declared.push(ns);
                declared.len() - 1
            });
        write_attr(format!("a{at}:{name}").as_bytes(), value, out);
    }
}

fn write_attr(name: &[u8], value: &str, out: &mut Vec<u8>) {
    out.push(b' ');
    out.extend_from_slice(name);
    out.extend_from_slice(b"=\"");
    escape_attr(value, out);
    out.push(b'"');
}
