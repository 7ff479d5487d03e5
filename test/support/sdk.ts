/** What tests that drive matrix-js-sdk share. */
import type { Logger } from 'matrix-js-sdk/lib/logger.js';

/** The SDK says a lot; a failing test says enough by itself. */
export const quiet: Logger = {
  trace: () => undefined,
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  getChild: () => quiet,
};

/** The password of everybody in these tests. */
export const PASSWORD = 'correct horse battery staple';
