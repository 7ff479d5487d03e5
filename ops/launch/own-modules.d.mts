// For type checks: own-modules.mjs is imported for what it does.
export {};
