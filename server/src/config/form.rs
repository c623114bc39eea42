//! How a setting is written, in the words of the example.

use super::example::example;

/// The setting whose value stands at `at` (bytes of the text), and what to write there.
pub fn of(text: &str, at: usize) -> Option<(String, String)> {
    let before = text.get(..at)?;
    let (key, _) = before.rsplit('\n').next()?.split_once('=')?;
    let key = key.trim();
    let section = before.lines().rev().map(str::trim).find(|line| line.starts_with('['))?;
    let (mut is_here, mut is_told, mut words) = (false, false, Vec::new());
    for line in example().lines() {
        let setting = line.strip_prefix('#').unwrap_or(line);
        if let Some(more) = line.strip_prefix("# ") {
            // Words are for all settings that follow, up to the next words.
            if std::mem::take(&mut is_told) {
                words.clear();
            }
            words.push(more.to_owned());
        } else if setting.starts_with('[') {
            is_here = setting == section;
        } else {
            is_told = true;
            if is_here && setting.split_once('=').is_some_and(|(name, _)| name.trim() == key) {
                return Some((key.to_owned(), format!("write it like {setting} ({})", words.join(" "))));
            }
        }
    }
    None
}
