// Text from outside (a service, a plugin, a key) in errors: escaped, on one line, and bounded.

// Control characters, line separators, bidirectional controls, and characters without a width.
const UNSAFE = /[\p{Cc}\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/u;
const ESCAPES = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** Escapes what a terminal may interpret or hide, and truncates to about `max` characters. */
export function sanitize(text, max) {
  let safe = '';
  for (const c of String(text)) {
    if (safe.length >= max) return `${safe}…`;
    safe += UNSAFE.test(c) ? (ESCAPES[c] ?? `\\u{${c.codePointAt(0).toString(16)}}`) : c;
  }
  return safe;
}

/** A name or a path as errors show it. */
export const shown = (name) => sanitize(name, 200);

/** Whether a header field could not carry the text. */
export const hasControls = (text) => /[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/.test(text);
