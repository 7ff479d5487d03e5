import type { Context } from '#src/context.ts';
import type { Endpoint } from '#src/http/endpoint.ts';
import { createMedia } from './create.ts';
import { download } from './download.ts';
import { frozenDownload } from './frozen-download.ts';
import { frozenThumbnail } from './frozen-thumbnail.ts';
import { mediaConfig } from './media-config.ts';
import { previewUrl } from './preview-url.ts';
import { thumbnail } from './thumbnail.ts';
import { upload } from './upload.ts';
import { uploadTo } from './upload-to.ts';

/** The content repository. */
export const mediaEndpoints: readonly Endpoint<Context>[] = [
  upload,
  createMedia,
  uploadTo,
  download,
  thumbnail,
  mediaConfig,
  previewUrl,
  frozenDownload,
  frozenThumbnail,
];
