/* prompt_encoder: what makes virtual tokens' rows while they are trained: an embedding [n, I], layers of a
 * bidirectional LSTM, linears with an activation between them (PEFT's PromptEncoder of p-tuning, PrefixEncoder's
 * projection).
 *
 * Files have the rows that come out (soft_prompt.h). The encoder's own numbers are the adapter's parameters, under the
 * names that PEFT's model has for them, and so are in checkpoints alone. */
#ifndef ADAPT_PROMPT_ENCODER_H
#define ADAPT_PROMPT_ENCODER_H

#include "adapt/soft_prompt.h"

struct prompt_encoder {
	int lstm, dense;               /* layers of each */
	enum dense_f f;                /* after each linear but the last */
	size_t n;                      /* its parameters, the first of the adapter's */
};

struct prompt_encoder_shape {
	size_t in, hidden, out;
	int lstm;                      /* layers, of `hidden` numbers a direction */
	int dense;                     /* linears, of `hidden` (2·hidden after an LSTM) numbers between */
	enum dense_f f;
	const char *head;              /* what PEFT calls them, "mlp_head" */
};

/* The parameters of an adapter that has its virtual tokens and no other; a->own becomes the encoder. */
void prompt_encoder_add(struct adapter *a, const struct prompt_encoder_shape *s);
/* Sealed, it begins as torch's modules do: N(0, 1) in the embedding, ±1/√I in linears, ±1/√hidden in an LSTM. */
void prompt_encoder_begin(struct adapter *a, uint64_t seed);
/* The rows [n, out] as a tensor. */
uint32_t prompt_encoder_record(struct graph *g, const struct overlay *o, const struct prompt_encoder *x);
/* adapter_type's flatten: a new adapter that has the rows. */
int prompt_encoder_flatten(const struct adapter *a, const struct model *m, enum soft_prompt_kind kind,
                           struct adapter *flat, struct err *e);

#endif
