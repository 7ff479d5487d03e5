/** Largest body whose content becomes one record of the log: with what is packed around it, it fits into one append. */
export const MAX_KEYS_BODY_BYTES = 768 * 1024;
