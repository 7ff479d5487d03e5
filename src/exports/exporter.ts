/** What makes an export of a case. The server is given one when it starts: exports are made apart from it. */

/** What of a case is asked for; `ops/export/case-query.ts` says what the parts mean. Times are milliseconds since the epoch. */
export interface ExportQuery {
  readonly users: readonly string[];
  /** Room ids. */
  readonly rooms: readonly string[];
  readonly fromMs?: number;
  readonly toMs?: number;
}

/** An export to be made, or gone on with where its folder has an unfinished one. */
export interface ExportOrder {
  readonly folder: string;
  readonly caseId: string;
  readonly query: ExportQuery;
  /** The signed head of the log that it is of. */
  readonly checkpoint: string | undefined;
}

/** What is in a finished export. */
export interface ExportSummary {
  readonly rooms: number;
  /** Of the log, in those rooms. */
  readonly records: number;
  readonly exported: number;
  readonly encrypted_events: number;
  readonly destroyed: number;
  readonly media: number;
  readonly media_missing: number;
  readonly encrypted_rooms: readonly string[];
}

/** How far it is. */
export interface ExportProgress {
  readonly step: string;
  readonly done: number;
  readonly total: number;
}

/** Makes an export. Rejects where it cannot be made, with a sentence for whoever asked; ends when the signal fires. */
export type Exporter = (
  order: ExportOrder,
  options: { readonly onProgress: (progress: ExportProgress) => void; readonly signal: AbortSignal },
) => Promise<ExportSummary>;
