/* label_words: how labels are said to a model that generates. A row of query,choices,gold has its choices in other
 * words; a row of text,label becomes one of query,choices,gold, whose choices are all labels that there are and whose
 * query is the text in a wording:
 *
 *     {"text": "It works.", "label": "praise"}
 *     {"query": "It works.\nLabel:", "choices": ["blame", "praise"], "gold": 1} */
#ifndef DATA_LABEL_WORDS_H
#define DATA_LABEL_WORDS_H

#include "data/rows.h"

#define LABEL_WORDS_TEMPLATE "{text}\nLabel:"

/* "label=words,label=words" or a JSON object of them; new, NULL and a sentence. */
json_t *label_words_parse(const char *text, struct err *e);
/* Is it of rows of text,label? */
bool label_words_wants(const struct rows *rows);
/* All labels of such rows, in order, into a list that grows; lists of labels: a sentence. */
int label_words_classes(const struct rows *rows, json_t *classes, struct err *e);
/* Rows in those words (NULL: as they are), new; the caller releases them. classes: of rows of text,label, sorted; else
 * NULL. template: with {text}. Words for what is no label: a sentence. */
int label_words_rows(const struct rows *rows, const json_t *words, const json_t *classes, const char *template,
                     struct rows *out, struct err *e);

#endif
