/* eval_variants: rows judged with what stands before them, by each wording and by several orders of the examples. What
 * few-shot scores one prompt by is one ticket of a lottery, so the spread over such variants is told. */
#ifndef CMD_EVAL_VARIANTS_H
#define CMD_EVAL_VARIANTS_H

#include "cmd/in_context.h"
#include "eval/evaluate.h"

/* How labels are said: rows of query,choices,gold in other words, rows of text,label as such rows. */
struct eval_words {
	bool on;
	json_t **items;                /* [n] n ≥ 1; NULL: as they are */
	size_t n;
	json_t *classes;               /* of rows of text,label, or NULL */
	const char *template;
};
/* said: labels are said at all; list: --label-words. eval_words_close in any case. */
int eval_words_open(struct eval_words *w, bool said, const struct opt_list *list, const char *template,
                    const struct rows *rows, const struct rows *examples, struct err *e);
void eval_words_close(struct eval_words *w);

struct eval_variants {
	struct evaluation *items;      /* [n] */
	/* variant i has instruction i modulo n_instructions, then words by the rest, then an order */
	size_t n, n_instructions, n_words;
	double added_tokens;           /* to what a row asks, NAN: nothing stands before it */
	double token_joules;           /* of a token that was computed; NAN: not known */
	json_t *saved;                 /* the first one's prompt as --fewshot-out keeps it, or NULL */
};

struct eval_variants_options {
	int64_t n;                     /* OPT_UNSET_INT: each wording once */
	const char *out;               /* --fewshot-out, or NULL */
	const struct eval_words *words;
	bool grow;                     /* micro-batches, so that what all rows begin with stands beside several rows */
	void (*begun)(void *ctx, size_t variant, size_t n);
	void *ctx;
};

/* Judges them all; c is NULL where nothing stands before the rows. */
int eval_variants_run(struct eval_variants *v, struct in_context *c, const struct eval_variants_options *o,
                      const struct subject *s, const struct rows *rows, const struct evaluate_options *how,
                      struct err *e);
/* Into the summary: price, variants and their spread. words may be NULL. */
void eval_variants_put(const struct eval_variants *v, const struct in_context *c, const struct eval_words *words,
                       json_t *summary);
void eval_variants_show(const struct eval_variants *v, const struct in_context *c, const struct eval_words *words);
void eval_variants_release(struct eval_variants *v);

#endif
