// The instances of the plugin for one store.
//
// A step is a synchronous call that runs to its end, so one idle instance serves any number of operations. It is dropped after a
// trap, after a result that breaks the contract, and once its memory has grown large; the next step makes another, which takes
// a few milliseconds: the modules are compiled once per process.

import { readFile } from 'node:fs/promises';
import { broken, ofPlugin } from './error.js';
import { imports } from './wasi.js';

/** Linear memory, in bytes, from which on an instance is not kept, and beyond which its results are not trusted. */
const RETIRE_MEMORY = 32 << 20;
const MAX_MEMORY = 256 << 20;

const MODULES = ['plugin.core.wasm', 'plugin.core2.wasm', 'plugin.core3.wasm'];

let loading;

/** Compiles the plugin, once per process. */
function load() {
  loading ??= (async () => {
    const folder = new URL('../plugin/', import.meta.url);
    const [{ instantiate }, ...modules] = await Promise.all([
      import(new URL('plugin.js', folder).href),
      ...MODULES.map(async (name) => [name, await WebAssembly.compile(await readFile(new URL(name, folder)))]),
    ]);
    return { instantiate, modules: new Map(modules) };
  })().catch((error) => {
    loading = undefined;
    throw broken(`it cannot be loaded: ${error.message}`, error);
  });
  return loading;
}

/** Runs `use` with the functions of an instance of its own that has no store. */
export async function withPlugin(use) {
  const { instantiate, modules } = await load();
  return use(instantiate((name) => modules.get(name), imports(), (module, given) => new WebAssembly.Instance(module, given)));
}

export class Instances {
  #loaded;
  #settings;
  #idle;
  /** How many were discarded after a trap or a violation of the contract. */
  discarded = 0;

  /** Opens the store in a first instance, which shows whether the settings are right. */
  static async open(settings) {
    const instances = new Instances();
    instances.#loaded = await load();
    instances.#settings = settings;
    instances.wantedDigests = [...new Set(instances.call(({ store }) => store.wantedDigests()))];
    return instances;
  }

  #instantiate() {
    const { instantiate, modules } = this.#loaded;
    let memory;
    const root = instantiate((name) => modules.get(name), imports(), (module, given) => {
      const instance = new WebAssembly.Instance(module, given);
      memory ??= instance.exports.memory;
      return instance;
    });
    let store;
    try {
      store = root.store.Store.open(this.#settings);
    } catch (error) {
      throw error.payload === undefined ? broken(`opening the store: ${error.message}`, error) : ofPlugin(error.payload);
    }
    return { store, sansIo: root.sansIo, memory };
  }

  /**
   * Runs a call in an instance. A trap discards the instance, and is thrown as it is.
   * @template T
   * @param {(instance: { store: object, sansIo: object }) => T} use
   * @returns {T}
   */
  call(use) {
    const instance = this.#idle ?? this.#instantiate();
    this.#idle = undefined;
    let result;
    try {
      result = use(instance);
    } catch (error) {
      this.discarded += 1;
      throw error;
    }
    const bytes = instance.memory?.buffer.byteLength ?? 0;
    if (bytes > MAX_MEMORY) {
      this.discarded += 1;
      throw broken(`it took ${bytes} bytes of memory, and ${MAX_MEMORY} are allowed`);
    }
    if (bytes <= RETIRE_MEMORY) this.#idle = instance;
    return result;
  }

  /** Discards the idle instance, after a result that breaks the contract. */
  discard() {
    if (this.#idle !== undefined) this.discarded += 1;
    this.#idle = undefined;
  }
}
