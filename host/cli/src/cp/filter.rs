//! Filters by patterns to exclude and to include; the last matching pattern decides.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use globset::{GlobBuilder, GlobMatcher};

/// The patterns of `--exclude` and `--include`, in the order of the command line.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    rules: Vec<(GlobMatcher, Verdict)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Exclude,
    Include,
}

impl Filter {
    /// Whether there is no pattern.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether a file or blob with this name, relative to the folder, is excluded.
    pub fn excludes(&self, name: &str) -> bool {
        let last = self.rules.iter().rev().find(|(pattern, _)| pattern.is_match(name));
        last.is_some_and(|(_, verdict)| *verdict == Verdict::Exclude)
    }
}

/// Matches like `aws s3 sync`: `*` also matches `/`.
fn pattern(text: &str) -> Result<GlobMatcher, String> {
    let glob = GlobBuilder::new(text).literal_separator(false).backslash_escape(true).empty_alternates(true).build();
    glob.map(|glob| glob.compile_matcher()).map_err(|error| error.kind().to_string())
}

const RULES: [(&str, Verdict, &str); 2] = [
    (
        "exclude",
        Verdict::Exclude,
        "Exclude names that match this pattern, relative to the folders: `*.tmp`, `cache/*`; may be given several times",
    ),
    (
        "include",
        Verdict::Include,
        "Include names that match this pattern: of all --exclude and --include, the last match decides",
    ),
];

/// Implemented manually, because derived arguments lose their relative order.
impl Args for Filter {
    fn augment_args(command: Command) -> Command {
        RULES.iter().fold(command, |command, (name, _, help)| {
            let long_help = "In a pattern, `*` stands for any characters, also `/`; `?` for one; `[a-z]` and `[!a-z]` for one of \
                 these or none of these; `{a,b}` for either; `\\` takes the next character as it is.";
            command.arg(
                Arg::new(*name)
                    .long(*name)
                    .value_name("PATTERN")
                    .action(ArgAction::Append)
                    .value_parser(pattern)
                    .help(*help)
                    .long_help(format!("{help}\n\n{long_help}")),
            )
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Filter {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut rules = Vec::new();
        for (name, verdict, _) in RULES {
            let patterns = matches.get_many::<GlobMatcher>(name).into_iter().flatten();
            let indices = matches.indices_of(name).into_iter().flatten();
            rules.extend(indices.zip(patterns).map(|(index, pattern)| (index, (pattern.clone(), verdict))));
        }
        rules.sort_by_key(|(index, _)| *index);
        Ok(Filter { rules: rules.into_iter().map(|(_, rule)| rule).collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(arguments: &[&str]) -> Filter {
        let command = Filter::augment_args(Command::new("x").no_binary_name(true));
        Filter::from_arg_matches(&command.try_get_matches_from(arguments).unwrap()).unwrap()
    }

    #[test]
    fn last_matching_pattern_wins() {
        assert!(!filter(&[]).excludes("a"));
        let only_text = filter(&["--exclude", "*", "--include", "*.txt"]);
        assert!(only_text.excludes("a.bin") && only_text.excludes("b/a") && !only_text.excludes("b/a.txt"));
        let none = filter(&["--include", "*.txt", "--exclude", "*"]);
        assert!(none.excludes("a.txt") && none.excludes("a.bin"));
        let three = filter(&["--exclude", "*.log", "--include", "keep/*", "--exclude", "keep/old*"]);
        assert!(three.excludes("a.log") && !three.excludes("keep/a.log") && three.excludes("keep/old.txt"));
    }

    #[test]
    fn patterns_match_like_shell_globs() {
        for (pattern, name, excluded) in [
            ("*.tmp", "a/b.tmp", true),
            ("*.tmp", "a.tmp.txt", false),
            ("cache/*", "cache/a/b", true),
            ("cache/*", "x/cache/a", false),
            ("a?c", "a/c", true),
            ("[!a-c]x", "dx", true),
            ("[!a-c]x", "bx", false),
            ("*.{jpg,png}", "a.png", true),
            ("new\nline*", "new\nline.txt", true),
            ("*", "new\nline", true),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
            ("*", ".hidden", true),
        ] {
            assert_eq!(filter(&["--exclude", pattern]).excludes(name), excluded, "{pattern:?} {name:?}");
        }
        assert!(pattern("[a").is_err() && pattern("{a").is_err());
    }
}
