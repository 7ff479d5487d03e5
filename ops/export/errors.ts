/** An export cannot be made, or goes on no further; the message says why and what helps. */
export class ExportRefused extends Error {
  override readonly name = 'ExportRefused';
}
