/** Types of what TypeScript uses of node.mjs. */

/** How Node is to run a server. */
export const SERVER_FLAGS: readonly string[];
