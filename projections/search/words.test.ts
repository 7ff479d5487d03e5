import { describe, expect, it } from 'vitest';
import { fold, MAX_WORD_LENGTH, wordsOf, writtenWords } from './words.ts';

describe('words', () => {
  it.each([
    ['Hello, World!', ['hello', 'world']],
    ["Don't e-mail foo_bar@example.org 3.14", ['dont', 'e', 'mail', 'foo', 'bar', 'example', 'org', '3', '14']],
    ['Straße GROẞ Ärzte über', ['strasse', 'gross', 'arzte', 'uber']],
    ['Ελλάς ΟΔΟΣ', ['ελλασ', 'οδοσ']],
    ['naïve café ﬁne Ｆｕｌｌｗｉｄｔｈ', ['naive', 'cafe', 'fine', 'fullwidth']],
    ['İstanbul ISPARTA ısı', ['istanbul', 'isparta', 'isi']],
    ['我爱北京天安门', ['我', '爱', '北京', '天安门']],
    ['東京で会いましょう', expect.arrayContaining(['東京', '会'])],
    ['ภาษาไทย', ['ภาษา', 'ไทย']],
    ['اللُّغَةُ العَرَبِيَّة', ['اللغه', 'العربيه']],
    ['한국어 단어', ['한국어', '단어']],
    ['iPhone手机', ['iphone', '手机']],
    ['🎉 — … !', []],
    ['', []],
  ])('of %s are cut and folded', (text, expected) => {
    expect(wordsOf(text)).toEqual(expected);
  });

  it('are the same however their letters are composed', () => {
    expect(fold('é')).toBe(fold('e\u0301'));
    expect(fold('が')).toBe('が');
  });

  it('keep the vowels that make Thai and Japanese words different', () => {
    expect(wordsOf('ที่')).not.toEqual(wordsOf('ที'));
    expect(fold('ば')).not.toBe(fold('は'));
  });

  it('of any length and of broken text are bounded and well-formed', () => {
    for (const text of ['x'.repeat(5000), '𐐀'.repeat(500), '\ud800broken\udc00', `a${'𐐀'.repeat(40)}`]) {
      for (const word of wordsOf(text)) {
        expect(word.length).toBeLessThanOrEqual(MAX_WORD_LENGTH);
        expect(word.isWellFormed()).toBe(true);
      }
    }
  });

  it('are found again as they are written', () => {
    const written = Array.from(writtenWords('Über die Straße: 我爱北京'), (word) => word.written);
    expect(written).toEqual(['Über', 'die', 'Straße', '我', '爱', '北京']);
  });
});
