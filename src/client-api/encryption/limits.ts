/** Largest body whose content becomes one record of the log: with what is packed around it, it fits into one append. */
export const MAX_KEYS_BODY_BYTES = 768 * 1024;
/** Longest type of a message to a device, in bytes. */
export const MAX_EVENT_TYPE_BYTES = 255;
