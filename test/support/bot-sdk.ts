/** matrix-bot-sdk without its native cryptography, which its package fetches from elsewhere and an installation may lack. */
import { registerHooks } from 'node:module';

const CRYPTOGRAPHY = '@matrix-org/matrix-sdk-crypto-nodejs';
const NOTHING = new URL('no-cryptography.cjs', import.meta.url).href;

// The SDK loads it at once and uses it only where a bot was given a store for keys.
const hooks = registerHooks({
  resolve: (specifier, context, next) =>
    specifier === CRYPTOGRAPHY ? { url: NOTHING, format: 'commonjs', shortCircuit: true } : next(specifier, context),
  load: (url, context, next) =>
    url === NOTHING ? { format: 'commonjs', source: '', shortCircuit: true } : next(url, context),
});

export const botSdk = await import('matrix-bot-sdk');
hooks.deregister();
