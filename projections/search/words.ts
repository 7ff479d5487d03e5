/**
 * The words of a text as they are indexed and searched: folded, so that case, width, accents and vowel marks do not matter, and
 * cut where the script says, also for those that do not put spaces between words.
 *
 * Folding is NFKD, without the marks that people leave out when they type, lower case, NFC. Source: Unicode, "Core
 * Specification", section 5.18 (caseless matching), UAX #15 and UAX #29.
 */

/** Longest word, in UTF-16 code units; of a longer one the beginning is taken. */
export const MAX_WORD_LENGTH = 64;

/** What people leave out when they type, as ranges of a character class. */
const MARKS = new RegExp(
  `[${[
    // Accents of Latin, Greek and Cyrillic letters.
    '\\u0300-\\u036f\\u0483-\\u0487\\u1ab0-\\u1aff\\u1dc0-\\u1dff\\u20d0-\\u20ff\\ufe20-\\ufe2f',
    // Hebrew points.
    '\\u0591-\\u05bd\\u05bf\\u05c1\\u05c2\\u05c4\\u05c5\\u05c7',
    // Arabic vowel marks and hamzas, and the tatweel.
    '\\u0610-\\u061a\\u064b-\\u065f\\u0670\\u06d6-\\u06dc\\u06df-\\u06e8\\u06ea-\\u06ed\\u0640',
    // Soft hyphens, joiners, variation selectors, byte order marks.
    '\\u00ad\\u200c\\u200d\\u2060\\ufe00-\\ufe0f\\ufeff',
  ].join('')}]`,
  'g',
);

/** Letters that are one with others to those who search, but not to Unicode's decompositions. */
const ALIKE: Readonly<Record<string, string>> = {
  ß: 'ss',
  æ: 'ae',
  œ: 'oe',
  ø: 'o',
  đ: 'd',
  ð: 'd',
  þ: 'th',
  ł: 'l',
  ħ: 'h',
  ı: 'i',
  ς: 'σ',
  ى: 'ي',
  ی: 'ي',
  ک: 'ك',
  ة: 'ه',
};
const ALIKE_LETTERS = new RegExp(`[${Object.keys(ALIKE).join('')}]`, 'g');

// biome-ignore lint/suspicious/noControlCharactersInRegex: it is the range of ASCII.
const ASCII = /^[\x00-\x7f]*$/;
const ASCII_WORDS = /[a-z0-9]+(?:'[a-z0-9]+)*/g;
const WORDS = /[\p{L}\p{N}\p{M}]+(?:['’][\p{L}\p{N}\p{M}]+)*/gu;
const APOSTROPHES = /['’]/g;
/** Scripts whose words are found with a dictionary. */
const UNSPACED =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;

const segmenter = new Intl.Segmenter('und', { granularity: 'word' });

/** A text in which what looks alike to a reader is alike. */
export function fold(text: string): string {
  if (ASCII.test(text)) return text.toLowerCase();
  return text
    .normalize('NFKD')
    .replace(/\u200b/g, ' ')
    .replace(MARKS, '')
    .toLowerCase()
    .replace(ALIKE_LETTERS, (letter) => ALIKE[letter] ?? letter)
    .normalize('NFC');
}

/** The words of a text, folded, in their order, each as often as it is there. */
export function wordsOf(text: string): string[] {
  const folded = fold(text);
  if (ASCII.test(folded)) return (folded.match(ASCII_WORDS) ?? []).map(plainWord);
  const words: string[] = [];
  for (const run of folded.match(WORDS) ?? []) {
    if (!UNSPACED.test(run)) words.push(plainWord(run));
    else for (const { segment, isWordLike } of segmenter.segment(run)) if (isWordLike) words.push(plainWord(segment));
  }
  return words;
}

function plainWord(word: string): string {
  const plain = word.includes("'") || word.includes('’') ? word.replace(APOSTROPHES, '') : word;
  if (plain.length <= MAX_WORD_LENGTH) return plain;
  // The cut may not leave half a character.
  return plain.slice(0, MAX_WORD_LENGTH).replace(/[\ud800-\udbff]$/, '');
}

/** Words of a text as they are written in it, with what they are folded to: for showing what was found. */
export function* writtenWords(text: string): Generator<{ readonly written: string; readonly folded: string }> {
  for (const run of text.match(WORDS) ?? []) {
    const pieces = UNSPACED.test(run) ? Array.from(segmenter.segment(run), ({ segment }) => segment) : [run];
    for (const written of pieces) {
      const folded = wordsOf(written).join('');
      if (folded !== '') yield { written, folded };
    }
  }
}
