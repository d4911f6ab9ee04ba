// An S3 client whose protocol is a sandboxed WebAssembly component.

export { SandbucketError } from './src/error.js';
export { Store, attributes, settings } from './src/store.js';
export { openConfig, openEnvironment, parseConfig } from './src/config/index.js';

import { Store } from './src/store.js';

/** Opens a store with settings by name. */
export const open = (settings, options) => Store.open(settings, options);
