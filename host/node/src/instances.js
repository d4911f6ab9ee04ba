// The instances of the plugin for one store.
//
// A step is a synchronous call that runs to its end, so one idle instance serves any number of operations. It is dropped after a
// trap, after a result that breaks the contract, and once its memory has grown large; the next step makes another, which takes
// a few milliseconds: the modules are compiled once per process.

import { readFile, readdir } from 'node:fs/promises';
import { broken, ofPlugin } from './error.js';
import { limitMemory } from './memory-limit.js';
import { imports } from './wasi.js';

/** Linear memory, in bytes, from which on an instance is not kept, and the most that one can have. */
const RETIRE_MEMORY = 32 << 20;
const MAX_MEMORY = 256 << 20;

/** Compiles a transpiled plugin. */
export async function load(folder) {
  try {
    const names = (await readdir(folder)).filter((name) => name.endsWith('.wasm'));
    const compile = async (name) => [name, await WebAssembly.compile(limitMemory(await readFile(new URL(name, folder)), MAX_MEMORY))];
    const [{ instantiate }, ...modules] = await Promise.all([import(new URL('plugin.js', folder).href), ...names.map(compile)]);
    return { instantiate, modules: new Map(modules) };
  } catch (error) {
    throw broken(`it cannot be loaded: ${error.message}`, error);
  }
}

let loading;

/** The plugin that this package contains, compiled once per process. */
function builtIn() {
  loading ??= load(new URL('../plugin/', import.meta.url)).catch((error) => {
    loading = undefined;
    throw error;
  });
  return loading;
}

/** Runs `use` with the functions of an instance of its own that has no store. */
export async function withPlugin(use) {
  const { instantiate, modules } = await builtIn();
  return use(instantiate((name) => modules.get(name), imports(), (module, given) => new WebAssembly.Instance(module, given)));
}

export class Instances {
  #loaded;
  #settings;
  #idle;
  /** How many were discarded after a trap or a violation of the contract. */
  discarded = 0;

  /** Opens the store in a first instance, which shows whether the settings are right. */
  static async open(settings, plugin = builtIn()) {
    const instances = new Instances();
    instances.#loaded = await plugin;
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
    if ((instance.memory?.buffer.byteLength ?? 0) <= RETIRE_MEMORY) this.#idle = instance;
    return result;
  }

  /** Discards the idle instance, after a result that breaks the contract. */
  discard() {
    if (this.#idle !== undefined) this.discarded += 1;
    this.#idle = undefined;
  }
}
