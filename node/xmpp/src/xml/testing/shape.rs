//! What consumers of the canonical form rely on, checked without a line of the reader's code.

/// Whether `text` is one element with matching tags, in which `<` and `>` only delimit tags, `"` in
/// tags only delimits values, every value is in `"`, and no name but those of attributes has a
/// prefix.
///
/// # Errors
/// What is not so.
pub fn check_shape(text: &str) -> Result<(), String> {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = text;
    let mut first = true;
    while let Some(behind) = rest.strip_prefix('<') {
        if open.is_empty() && !first {
            return Err(format!("more than one element: {text}"));
        }
        first = false;
        let (tag, behind) = behind.split_once('>').ok_or("a tag without end")?;
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name) {
                return Err(format!("tags do not match: {text}"));
            }
        } else {
            let name = check_tag(tag.strip_suffix('/').unwrap_or(tag))?;
            if !tag.ends_with('/') {
                if behind.starts_with("</") {
                    return Err(format!("an empty element with two tags: {text}"));
                }
                open.push(name);
            }
        }
        let place = behind.find('<').unwrap_or(behind.len());
        check_text(&behind[..place], open.is_empty())?;
        rest = &behind[place..];
    }
    if rest.is_empty() && open.is_empty() && !first {
        Ok(())
    } else {
        Err(format!("rest: {rest}"))
    }
}

fn check_tag(tag: &str) -> Result<&str, String> {
    let name = tag.split(' ').next().unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if name.is_empty() || !name.bytes().all(plain) {
        return Err(format!("name: {tag}"));
    }
    let mut rest = &tag[name.len()..];
    while !rest.is_empty() {
        let attribute = rest
            .strip_prefix(' ')
            .ok_or_else(|| format!("one space: {tag}"))?;
        let (name, behind) = attribute
            .split_once("=\"")
            .ok_or_else(|| format!("quote: {tag}"))?;
        let (value, behind) = behind
            .split_once('"')
            .ok_or_else(|| format!("quote: {tag}"))?;
        if name.is_empty() || !name.bytes().all(|byte| plain(byte) || byte == b':') {
            return Err(format!("attribute name: {tag}"));
        }
        if value.contains(['<', '\r', '\n', '\t']) {
            return Err(format!("value: {tag}"));
        }
        check_references(value)?;
        rest = behind;
    }
    Ok(name)
}

fn check_text(text: &str, outside: bool) -> Result<(), String> {
    if text.contains(['>', '\r']) || (outside && !text.is_empty()) {
        return Err(format!("text: {text}"));
    }
    check_references(text)
}

fn check_references(text: &str) -> Result<(), String> {
    let known = ["amp;", "lt;", "gt;", "quot;", "#9;", "#10;", "#13;"];
    let unknown = text
        .split('&')
        .skip(1)
        .find(|rest| !known.iter().any(|k| rest.starts_with(k)));
    unknown.map_or(Ok(()), |rest| Err(format!("reference: &{rest}")))
}
