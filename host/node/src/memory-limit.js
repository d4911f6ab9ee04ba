// A maximum for the memory of a core module: without one, a plugin could grow it to 4 GiB.

const MEMORY = 5;
const PAGE = 64 << 10;

/** An unsigned LEB128 number and the offset after it. */
function readNumber(bytes, at) {
  let [value, shift] = [0, 0];
  for (;;) {
    const byte = bytes[at];
    if (byte === undefined || shift > 28) throw new Error('the module is malformed');
    value += (byte & 0x7f) * 2 ** shift;
    shift += 7;
    at += 1;
    if (byte < 0x80) return [value, at];
  }
}

function writeNumber(value) {
  const bytes = [];
  do {
    bytes.push((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
    value >>>= 7;
  } while (value > 0);
  return bytes;
}

/** The module with each memory of its own bounded to so many bytes. */
export function limitMemory(module, most) {
  const limit = Math.floor(most / PAGE);
  for (let at = 8; at < module.length; ) {
    const [id, begin] = [module[at], at];
    const [size, start] = readNumber(module, at + 1);
    at = start + size;
    if (id !== MEMORY) continue;
    let [count, place] = readNumber(module, start);
    const content = writeNumber(count);
    for (; count > 0; count -= 1) {
      const flags = module[place];
      // A memory that is shared or has 64-bit addresses is none of a plugin.
      if (flags > 1) throw new Error('the module has a memory of an unknown kind');
      let [least, greatest] = [0, limit];
      [least, place] = readNumber(module, place + 1);
      if (flags === 1) [greatest, place] = readNumber(module, place);
      if (least > limit) throw new Error(`the module needs ${least * PAGE} bytes of memory, and ${most} are allowed`);
      content.push(1, ...writeNumber(least), ...writeNumber(Math.min(greatest, limit)));
    }
    return Buffer.concat([
      module.subarray(0, begin), Buffer.from([MEMORY, ...writeNumber(content.length), ...content]), module.subarray(at),
    ]);
  }
  return module;
}
