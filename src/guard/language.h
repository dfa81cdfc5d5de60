/* language: does a text read as a language? A small model of English letters, and rules without a dictionary for
 * others.
 *
 * bits: what the text costs under the model. A letter costs −log2 of its share after the two before it (27 symbols: a
 * to z and the blank between words, counted in public-domain books); a mark, a digit, a character of another script
 * what its kind costs. Bytes that nobody encoded cost eight bits each, and English about three: the difference is the
 * evidence that somebody did. */
#ifndef GUARD_LANGUAGE_H
#define GUARD_LANGUAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct language {
	double bits;          /* of the whole text */
	double letter_bits;   /* of ASCII letters and blanks alone */
	size_t characters;
	size_t letters, other_letters, blanks, digits, marks;
	size_t code;          /* marks that programs have and prose has not */
	size_t words;
	bool valid;           /* UTF-8 without control characters, all of it assigned */
};

struct language language_look(const char *s, size_t n);
/* Reads as a language: words of letters with little else between; English by its letters, or words as any language
 * has them. */
bool language_reads(const struct language *l);
/* The cost of a word of ASCII letters between blanks, its blank behind counted, in quarters of a bit; what is no
 * letter is passed over. letters: [26] what stands for a to z, or NULL. One that is more than `most` is not summed to
 * its end. */
int language_word(const char *s, size_t n, const char *letters, int most);
/* Is that cost below `most`? number: of each byte the letter that it stands for, 0 to 25, or −1; turned: the word is
 * read from its end. */
bool language_word_below(const char *s, size_t n, const int8_t number[256], bool turned, int most);
/* Could these bytes be valid, as far as encodings and controls tell? What is not is no text. */
bool language_may(const char *s, size_t n);

/* A letter's number, 0 to 25; −1: it is none of ASCII. */
static inline int language_letter(char c)
{
	c |= 32;
	return c >= 'a' && c <= 'z' ? c - 'a' : -1;
}
static inline bool language_control(char c)
{
	return ((c >= 0 && c < ' ') || c == 127) && c != '\n' && c != '\t' && c != '\r';
}

#endif
