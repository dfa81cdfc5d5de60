/* suite_parts: what the files suite_*.c share; nobody else includes it. */
#ifndef EXAM_SUITE_PARTS_H
#define EXAM_SUITE_PARTS_H

#include "exam/answer_rules.h"
#include "exam/exam_parts.h"
#include "exam/suite.h"

struct suite_part {
	const char *name;
	int (*open)(struct suite *s, struct err *e);
	const char *option;            /* without which it has no rows; or NULL */
	const char *files[5];          /* of --suite-data that it is made of, until NULL */
	bool built_in;                 /* it has prompts of its own where none of them is there */
};
extern const struct suite_part *const suite_part_table[]; /* generated, NULL-terminated */

/* Answers that people have labelled: completion, final_label. */
#define SUITE_COMPLETIONS "xstest_v2_completions_mistralinstruct.csv"

struct suite_measured { const char *metric; bool higher_is_better; };
enum { SUITE_METRICS = 6 };

typedef int suite_measure(struct suite *s, const json_t *doc, const json_t *answers, json_t *metrics, struct err *e);

struct suite_new {
	const char *name;
	json_t *docs;                  /* taken; each with `prompt` */
	struct suite_measured metrics[SUITE_METRICS]; /* until one without a name */
	suite_measure *measure;        /* NULL: others tell all */
	bool plain, judged, toxic;
	const json_t *choices;         /* doc_to_choice, or NULL: an answer is generated */
	int64_t max_new_tokens;        /* 0: the suite's */
};
/* judge.c: what a judge's words are measured as. */
extern const struct suite_measured suite_judged[4];

/* A task more; nothing where there are no rows. */
int suite_add(struct suite *s, const struct suite_new *n, struct err *e);

/* So many of them, evenly over all, since sets stand in order of their kinds. Takes docs. */
json_t *suite_evenly(json_t *docs, size_t most);

/* What is built in under a key; it is there. */
const json_t *suite_own(const struct suite *s, const char *key);
/* Rows of a file of --suite-data, there or up to two folders below, by its name. *rows NULL: there is none. */
int suite_rows(const struct suite *s, const char *name, json_t **rows, struct err *e);
/* The same in a folder of that name. */
int suite_rows_in(const struct suite *s, const char *folder, const char *name, json_t **rows, struct err *e);
/* A file's JSON, whatever it is. */
int suite_json(const struct suite *s, const char *name, json_t **out, struct err *e);
/* The same of a text file's lines that are not empty. */
int suite_lines(const struct suite *s, const char *name, json_t **lines, struct err *e);
/* Texts of a column of such rows, as [{prompt, label, more…}]; of a list of texts that is built in. New. */
json_t *suite_docs(const json_t *rows, const char *column, const char *label, struct err *e);
/* Harmful requests to be tried in other forms: SimpleSafetyTests, else the unsafe half of our pairs. New. */
json_t *suite_requests(const struct suite *s, struct err *e);
/* "{name}" of a form replaced by texts: name, text, …, NULL. New, mem_free. */
char *suite_fill(const char *form, ...);

/* --- answers --- */

const char *suite_answer(const json_t *answers);
bool suite_refuses(const struct suite *s, const char *answer);
/* refused, complied: not refused, and about the row's `request`, else its `prompt`. */
suite_measure suite_measure_compliance;
/* Of the request's words of four letters or more, how many the answer has; 1 where it has none. */
double suite_coverage(const char *request, const char *answer);
size_t suite_words(const char *text);

/* canary.c: what stands for code k of a row, 0 the secret; new. */
json_t *canary_code(uint64_t seed, uint32_t row, uint32_t k);

void suite_training_release(struct suite *s);

#endif
