//! What changed in a long text, as a change event tells it.

/// A unified diff of one hunk: the lines between the common head and the common tail, with up to three lines around.
pub(crate) fn unified(old: &str, new: &str) -> String {
    const AROUND: usize = 3;
    let (old, new): (Vec<&str>, Vec<&str>) = (old.split('\n').collect(), new.split('\n').collect());
    let same = |pairs: &mut dyn Iterator<Item = (&&str, &&str)>| pairs.take_while(|(a, b)| a == b).count();
    let head = same(&mut old.iter().zip(&new));
    let rest = old.len().min(new.len()) - head;
    let tail = same(&mut old.iter().rev().zip(new.iter().rev())).min(rest);
    let from = head.saturating_sub(AROUND);
    let after = tail.min(AROUND);
    let (old_end, new_end) = (old.len() - tail + after, new.len() - tail + after);
    let mut text =
        format!("--- \n+++ \n@@ -{},{} +{},{} @@", from + 1, old_end - from, from + 1, new_end - from);
    let mut lines = |mark: char, lines: &[&str]| {
        for line in lines {
            text.push('\n');
            text.push(mark);
            text.push_str(line);
        }
    };
    lines(' ', &old[from..head]);
    lines('-', &old[head..old.len() - tail]);
    lines('+', &new[head..new.len() - tail]);
    lines(' ', &old[old.len() - tail..old_end]);
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_diff_shows_the_changed_lines_with_three_around_them() {
        let old = "a\nb\nc\nd\ne\nf\ng\nh\ni";
        let new = "a\nb\nc\nd\nE\nf\ng\nh\ni";
        assert_eq!(unified(old, new), "--- \n+++ \n@@ -2,7 +2,7 @@\n b\n c\n d\n-e\n+E\n f\n g\n h");
    }

    /// Applies a diff of one hunk.
    fn patched(old: &str, diff: &str) -> String {
        let old: Vec<&str> = old.split('\n').collect();
        let (head, hunk) = diff.split_once(" @@").expect("a hunk");
        let numbers = head.split_once("@@ -").expect("positions").1;
        let (start, count) = numbers.split_once(' ').and_then(|(old, _)| old.split_once(',')).expect("old");
        let number = |text: &str| text.parse::<usize>().expect("a number");
        let (start, count) = (number(start) - 1, number(count));
        let kept = hunk.split('\n').skip(1).filter(|line| !line.starts_with('-')).map(|line| &line[1..]);
        let lines: Vec<&str> =
            old[..start].iter().copied().chain(kept).chain(old[start + count..].iter().copied()).collect();
        lines.join("\n")
    }

    proptest! {
        #[test]
        fn a_diff_leads_from_the_old_text_to_the_new(old in "[ab\n]{0,30}", new in "[ab\n]{0,30}") {
            prop_assert_eq!(patched(&old, &unified(&old, &new)), new);
        }
    }
}
