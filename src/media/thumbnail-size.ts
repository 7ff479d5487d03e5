/** https://spec.matrix.org/v1.19/client-server-api/#thumbnails */

/** `crop` fills the size and cuts what stands out; `scale` keeps all of the image within the size. */
export type ThumbnailMethod = 'crop' | 'scale';

/** What a thumbnail is like, in pixels. */
export interface ThumbnailSize {
  readonly width: number;
  readonly height: number;
  readonly method: ThumbnailMethod;
}

const size = (width: number, height: number, method: ThumbnailMethod): ThumbnailSize => ({ width, height, method });

/**
 * The sizes that thumbnails are made in, whatever clients ask for: so few files are made of an image, and most requests find
 * theirs made. To what the specification names come larger ones for today's screens, and squares for avatars.
 */
export const THUMBNAIL_SIZES: readonly ThumbnailSize[] = [
  size(32, 32, 'crop'),
  size(96, 96, 'crop'),
  size(240, 240, 'crop'),
  size(480, 480, 'crop'),
  size(800, 800, 'crop'),
  size(320, 240, 'crop'),
  size(640, 480, 'crop'),
  size(800, 600, 'crop'),
  size(320, 240, 'scale'),
  size(640, 480, 'scale'),
  size(800, 600, 'scale'),
  size(1600, 1200, 'scale'),
];

/** The difference of aspect ratios below which they count as the same, as a factor. */
const SAME_ASPECT = 1.1;

/**
 * The size to make for what a client asks: the smallest that is not smaller than asked, of the same shape if there is one;
 * the largest there is for clients that ask for more.
 */
export function sizeFor(asked: ThumbnailSize): ThumbnailSize {
  const sizes = THUMBNAIL_SIZES.filter(({ method }) => method === asked.method).toSorted((a, b) => area(a) - area(b));
  const large = sizes.filter(({ width, height }) => width >= asked.width && height >= asked.height);
  const alike = large.find((one) => isSameShape(one, asked));
  return alike ?? large[0] ?? sizes.findLast((one) => isSameShape(one, asked)) ?? sizes.at(-1) ?? asked;
}

function area({ width, height }: ThumbnailSize): number {
  return width * height;
}

function isSameShape(a: ThumbnailSize, b: ThumbnailSize): boolean {
  const factor = (a.width * b.height) / (a.height * b.width);
  return factor < SAME_ASPECT && factor > 1 / SAME_ASPECT;
}
