/* settings: whether what a file of settings says is done, by table, so that none of it is ignored in silence.
 *
 * A row is one key (or several apart by spaces, or a beginning with '*' behind it, or an end with '*' before it) and
 * what becomes of it:
 *
 *     USED       somebody reads it
 *     IS         computed in one way only: at another value than one of its words the file is refused by name
 *     TOLD       not done, and worth a warning at another value than one of its words
 *     HARMLESS   changes no number and no id, for the reason that the row gives
 *
 * A key that no row has is judged by this rule. Off (null, false, 0, an empty text, list or object) it says nothing.
 * Else, where its name has a word of those that change numbers in models ("scaling", "norm", "rope" …), it is
 * refused; a scale, factor or multiplier of 1 is off too. Every other one is named in one warning for the file. So a
 * setting that is new in transformers or llama.cpp cannot change a result unseen, and one that only notes something
 * does not stop a model. */
#ifndef FORMAT_SETTINGS_H
#define FORMAT_SETTINGS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum { SETTINGS_NAMED = 32 };
enum setting_kind { SETTING_USED = 1, SETTING_IS, SETTING_TOLD, SETTING_HARMLESS };

struct setting {
	const char *keys;
	enum setting_kind kind;
	/* USED: who. IS, TOLD: values apart by spaces that are as good as its absence. HARMLESS: why. */
	const char *words;
	const char *why;           /* TOLD: what is not done; IS: NULL, or what is wanted */
};

/* What a file's settings are judged by, and what was found so far. */
struct settings {
	const char *where;         /* the file, for sentences */
	const struct setting *table; /* ends with a row without keys */
	bool numbers;              /* an unknown key may change numbers: the rule refuses by name */
	struct buf unknown, told;
	size_t n_unknown, n_told;
};

const struct setting *setting_find(const struct setting *table, const char *key);   /* NULL: no row has it */
/* Is the value one of the words (texts, truth values, numbers; "empty": nothing in it), a list of such, or null? */
bool setting_is(const json_t *value, const char *words);
/* One of the words, of n bytes, where a number is compared as a number. */
bool setting_is_word(const json_t *value, const char *word, size_t n);
/* Judges one key, or all of an object. */
int settings_judge(struct settings *s, const char *key, const json_t *value, struct err *e);
int settings_judge_all(struct settings *s, const json_t *object, struct err *e);
/* The warnings, of the first SETTINGS_NAMED each; releases what was found. */
void settings_tell(struct settings *s);

#endif
