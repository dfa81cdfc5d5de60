/* token_rows: rows of an embedding, and of the head's matrix, that are trained while the others stay: PEFT's
 * trainable_tokens_delta, which in spite of its name stands in the place of the rows.
 *
 *     y[i] = rows[j]              where token i is tokens[j], else the embedding's own
 *     logits = x·Wᵀ + x·(rows − W[tokens])ᵀ·Sᵀ          S (V,K): S[tokens[j]][j] = 1
 *
 * A tied model's embedding and head have the same rows. The head's sum is in floats, so a logit is that of the row
 * within rounding; S takes V·K numbers that are never trained. */
#ifndef ADAPT_TOKEN_ROWS_H
#define ADAPT_TOKEN_ROWS_H

#include "adapt/adapter.h"
#include "model/graph.h"

struct token_site {
	int weight;                    /* embedding or head; n_weights: a tied model's head */
	int param;                     /* the rows, K,C */
	int slot;                      /* embedding: V numbers of `fixed`, 1 + the row for a token or 0 */
	int minus, up;                 /* head: −W[tokens] and S, of `fixed` */
	const int32_t *tokens;         /* [n] */
	size_t n;
};

enum { TOKEN_SITES = 2 };
struct token_rows { struct token_site site[TOKEN_SITES]; int n; };

/* "17,5" as a list of numbers in that order, new; NULL and a sentence that names the option. */
/* The list (or none) and the model's new tokens behind it; takes the list. NULL: there are none. */
json_t *token_rows_with_new(json_t *list, const struct model *m);
json_t *token_rows_list(const char *text, const char *option, struct err *e);
/* Rows of the module of weight `weight` for the tokens of `list`, a JSON array of their ids: files call them `name`.
 * Of a tied model's embedding the head has the same. Refuses what are no ids of the model and one that stands twice. */
int token_rows_add(struct token_rows *t, struct adapter *a, const struct model *m, int weight, const json_t *list,
                   const char *name, struct err *e);
/* PEFT's trainable_token_indices, beside an adapter of another kind: a list for the embedding, or an object of lists by
 * modules; null: nothing. */
int token_rows_beside(struct token_rows *t, struct adapter *a, const struct model *m, struct err *e);
/* The numbers that are not trained, after all were added and before adapter_seal; a->overlay.fixed is sealed. */
int token_rows_seal(struct token_rows *t, struct adapter *a, const struct model *m, struct err *e);
/* After adapter_seal: the rows begin as the model's own. */
void token_rows_fill(const struct token_rows *t, struct adapter *a, const struct model *m);
/* What hooks and merge of a type do; they leave alone what is not theirs. */
uint32_t token_rows_lookup(const struct token_rows *t, struct graph *g, const struct overlay *o, int w,
                           enum embed_source source, uint32_t table);
void token_rows_linear(const struct token_rows *t, struct graph *g, const struct overlay *o, int w, struct linear *l);
void token_rows_merge(const struct token_rows *t, const struct adapter *a, const struct model *m, int weight, float *w);

#endif
