/** Longest answer of a time-stamp authority that is read, in bytes. */
export const MAX_TIMESTAMP_BYTES = 64 * 1024;
