/* function: what lm-eval's own tasks have in Python beside their YAML, in C. A file function_x.c holds those of one
 * task; a config names them `!function x.name`. */
#ifndef EXAM_FUNCTION_H
#define EXAM_FUNCTION_H

#include <jansson.h>

#include "base/err.h"

struct exam_function {
	const char *name;              /* "process_docs" */
	/* A row's: the row with more columns, or a value; new. */
	json_t *(*of_doc)(const json_t *doc, struct err *e);
	/* process_results: answers as [[logprob, is_greedy], …], [logprob] of a rolling one, or [text]; adds what is
	 * measured to an object. */
	int (*of_results)(const json_t *doc, const json_t *answers, json_t *metrics, struct err *e);
	double (*aggregate)(const json_t *values);
};

struct exam_functions {
	const char *name;              /* "hellaswag" */
	const struct exam_function *list; /* until one without a name */
};

extern const struct exam_functions *const exam_functions_table[]; /* generated, NULL-terminated */

/* "hellaswag.process_docs"; NULL: there is none. */
const struct exam_function *exam_function(const char *name);

/* A column that is a text; NULL and a sentence. */
const char *function_text(const json_t *doc, const char *key, struct err *e);

/* len(re.split(r"\s+", text)): runs of white space, and one. */
size_t exam_count_words(const char *s, size_t n);

#endif
