/* english: sentences and words of capitals as NLTK counts them, which instructions of IFEval go by.
 *
 * Sentences: Punkt (Kiss and Strunk 2006). A text is cut behind . ? and ! where white space or a mark follows, unless
 * the word before is an abbreviation, an initial or a number whose successor does not look like a beginning. Punkt
 * learns from a corpus which words are abbreviations, which begin sentences and how each is written; here these are
 * small tables of common English, so a text of rare abbreviations, or with a name that is a word as well behind one,
 * may be cut elsewhere than NLTK's English model cuts it. doc/evaluation.md has how often.
 *
 * Words of capitals: those of NLTK's tokenizer (Penn Treebank's: marks and n't, 's, 'll stand alone) in which
 * str.isupper is true. Texts are UTF-8. */
#ifndef EXAM_ENGLISH_H
#define EXAM_ENGLISH_H

#include <stddef.h>

size_t english_sentences(const char *s, size_t n);
size_t english_capital_words(const char *s, size_t n);

#endif
