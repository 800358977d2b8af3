//! Two texts as a unified diff (`diff -u`).

/// Lines around a change that are shown with it.
const CONTEXT: usize = 3;

/// What leads from one text to the other; empty if nothing does.
pub fn unified(name: &str, old: &str, new: &str) -> String {
    let (a, b) = (lines(old), lines(new));
    let steps = steps(&a, &b);
    let mut out = String::new();
    let changed: Vec<usize> =
        (0..steps.len()).filter(|&i| !matches!(steps[i], Step::Same(..))).collect();
    let mut at = 0;
    while at < changed.len() {
        let mut last = at;
        while last + 1 < changed.len() && changed[last + 1] - changed[last] <= 2 * CONTEXT
        {
            last += 1;
        }
        let start = changed[at].saturating_sub(CONTEXT);
        let end = (changed[last] + CONTEXT + 1).min(steps.len());
        out += &hunk(&steps[start..end], &steps[..start], &a, &b);
        at = last + 1;
    }
    if out.is_empty() { out } else { format!("--- {name}\n+++ {name}\n{out}") }
}

/// Lines with their ends, so that a last line without one differs from one with it.
fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

#[derive(Clone, Copy)]
enum Step {
    Same(usize),
    Old(usize),
    New(usize),
}

fn hunk(steps: &[Step], before: &[Step], a: &[&str], b: &[&str]) -> String {
    let olds =
        |steps: &[Step]| steps.iter().filter(|s| !matches!(s, Step::New(_))).count();
    let news =
        |steps: &[Step]| steps.iter().filter(|s| !matches!(s, Step::Old(_))).count();
    let range = |start: usize, count: usize| match count {
        0 => format!("{start},0"),
        1 => format!("{}", start + 1),
        _ => format!("{},{count}", start + 1),
    };
    let mut out = format!(
        "@@ -{} +{} @@\n",
        range(olds(before), olds(steps)),
        range(news(before), news(steps))
    );
    for step in steps {
        let (sign, line) = match step {
            Step::Same(i) => (' ', a[*i]),
            Step::Old(i) => ('-', a[*i]),
            Step::New(i) => ('+', b[*i]),
        };
        out.push(sign);
        out += line;
        if !line.ends_with('\n') {
            out += "\n\\ No newline at end of file\n";
        }
    }
    out
}

/// The shortest way from one list to the other: Myers' algorithm, between what both
/// begin and end with.
fn steps(a: &[&str], b: &[&str]) -> Vec<Step> {
    let front = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let back = a[front..].iter().rev().zip(b[front..].iter().rev());
    let back = back.take_while(|(x, y)| x == y).count();
    let (a_mid, b_mid) = (&a[front..a.len() - back], &b[front..b.len() - back]);
    let mut out: Vec<Step> = (0..front).map(Step::Same).collect();
    out.extend(shortest(a_mid, b_mid).into_iter().map(|step| match step {
        Step::Same(i) => Step::Same(i + front),
        Step::Old(i) => Step::Old(i + front),
        Step::New(i) => Step::New(i + front),
    }));
    out.extend((a.len() - back..a.len()).map(Step::Same));
    out
}

#[allow(clippy::many_single_char_names)] // the algorithm's own names
fn shortest(a: &[&str], b: &[&str]) -> Vec<Step> {
    let (n, m) = (a.len() as isize, b.len() as isize);
    let middle = n + m;
    // The furthest reach in `a` on each diagonal, and what it was before each number of
    // edits: of those only the diagonals that can be looked at, or the texts would cost
    // their lengths multiplied.
    let mut reach = vec![0isize; (2 * middle + 3) as usize];
    let mut history: Vec<Vec<isize>> = Vec::new();
    let index = |k: isize| (k + middle + 1) as usize;
    'search: for d in 0..=middle {
        history.push(reach[index(-d - 1)..=index(d + 1)].to_vec());
        for k in (-d..=d).step_by(2) {
            let down = k == -d || (k != d && reach[index(k - 1)] < reach[index(k + 1)]);
            let mut x = if down { reach[index(k + 1)] } else { reach[index(k - 1)] + 1 };
            while x < n && x - k < m && a[x as usize] == b[(x - k) as usize] {
                x += 1;
            }
            reach[index(k)] = x;
            if x >= n && x - k >= m {
                break 'search;
            }
        }
    }
    let (mut x, mut y) = (n, m);
    let mut out = Vec::new();
    for (d, reach) in history.iter().enumerate().rev() {
        let (d, k) = (d as isize, x - y);
        let index = |k: isize| (k + d + 1) as usize;
        let down = k == -d || (k != d && reach[index(k - 1)] < reach[index(k + 1)]);
        let from_k = if down { k + 1 } else { k - 1 };
        let from_x = if d == 0 { 0 } else { reach[index(from_k)] };
        let from_y = if d == 0 { 0 } else { from_x - from_k };
        while x > from_x && y > from_y {
            (x, y) = (x - 1, y - 1);
            out.push(Step::Same(x as usize));
        }
        if d > 0 {
            if down {
                y -= 1;
                out.push(Step::New(y as usize));
            } else {
                x -= 1;
                out.push(Step::Old(x as usize));
            }
        }
    }
    out.reverse();
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_shown_with_their_surroundings() {
        assert_eq!(unified("f", "a\nb\n", "a\nb\n"), "");
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n";
        let new = "1\n2\n3\n4\nfive\n6\n7\n8\n9\n10\n11\n12\n13";
        let expected = "--- f\n+++ f\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n\
             @@ -10,3 +10,4 @@\n 10\n 11\n 12\n+13\n\\ No newline at end of file\n";
        assert_eq!(unified("f", old, new), expected);
        assert_eq!(unified("f", "", "x\n"), "--- f\n+++ f\n@@ -0,0 +1 @@\n+x\n");
    }

    /// Whatever the texts, following the steps leads from the one to the other.
    #[test]
    fn steps_lead_there() {
        let mut seed = 7u32;
        let mut next = || {
            seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12345);
            (seed >> 16) as usize
        };
        for _ in 0..300 {
            let words = ["a", "b", "c"];
            let mut text =
                |n: usize| -> Vec<&str> { (0..n).map(|_| words[next() % 3]).collect() };
            let (a, b) = (text(9), text(7));
            let steps = steps(&a, &b);
            let mut old = Vec::new();
            let mut new = Vec::new();
            for step in steps {
                match step {
                    Step::Same(i) => {
                        old.push(a[i]);
                        new.push(a[i]);
                    }
                    Step::Old(i) => old.push(a[i]),
                    Step::New(i) => new.push(b[i]),
                }
            }
            assert_eq!((old, new), (a, b));
        }
    }
}
