//! Keys that S3 accepts and that clients get wrong.

/// Unusual keys, all distinct.
pub fn odd() -> Vec<String> {
    let mut keys: Vec<String> = [
        // An ordinary key, and every character with a meaning in a URL.
        "plain.txt",
        "a b",
        " ",
        " a ",
        "a+b",
        "a%b",
        "a%2Fb",
        "a%2fb",
        "%25",
        "%",
        "%zz",
        "~",
        "a?b#c",
        "a&b=c;d",
        "a:b",
        "@$,!",
        "'()*",
        "\"<>|^`{}[]",
        "a\\b",
        "?versionId=1",
        "http://a.example/b",
        // Segments that path normalisation removes.
        "/",
        "//",
        "/a",
        "//a",
        "a/",
        "a//",
        "a//b",
        "a///b",
        ".",
        "..",
        "./a",
        "../a",
        "../../a",
        "a/.",
        "a/..",
        "a/./b",
        "a/../b",
        "a/../../b",
        "...",
        "%2E%2E/a",
        "a/%2e%2e/b",
        // Control characters.
        "a\tb",
        "a\nb",
        "a\r\nb",
        "\u{1}",
        "a\u{1b}[31m",
        "\u{7f}",
        "\u{85}",
        // Non-ASCII: two spellings of one letter, four-byte characters, right-to-left, no-break and zero-width.
        "é",
        "e\u{301}",
        "日本語/ファイル",
        "🪣",
        "👩\u{200d}🔬",
        "\u{5e9}\u{5dc}",
        "a\u{a0}b",
        "a\u{200b}b",
        "\u{fffd}",
        "\u{10ffff}",
    ]
    .map(str::to_owned)
    .to_vec();
    // The maximum length, in three spellings.
    keys.push("n".repeat(1024));
    keys.push("/".repeat(1024));
    keys.push("🪣".repeat(256));
    keys
}
