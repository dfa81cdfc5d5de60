/* token_view: an answer's tokens with the probability that each had: coloured in a terminal, columns elsewhere, objects
 * for --json. */
#ifndef CMD_TOKEN_VIEW_H
#define CMD_TOKEN_VIEW_H

#include <jansson.h>

#include "infer/sampler.h"
#include "token/tokenizer.h"

/* A token of the vocabulary as one JSON string, bytes that are no text as U+FFFD; an id outside it is an empty one. */
json_t *token_string(const struct tokenizer *t, int32_t id);

struct token_view {
	const struct tokenizer *tokenizer;
	size_t V;
	int64_t top;                   /* alternatives of each */
	bool color, json;              /* json: collected in `list` and not shown */
	struct sampler work;           /* its work space alone */
	json_t *list;                  /* [{token, id, logprob, top_logprobs}] */
	struct buf held;               /* bytes of a character whose end is in the next token */
};

void token_view_begin(struct token_view *v);
void token_view_add(struct token_view *v, int32_t id, const float *logits); /* shows it, or adds it to the list */
void token_view_end(struct token_view *v);    /* with the list */

#endif
