/* agreement: how near a model is to the one that it was made of, token by token over the same documents.
 *
 *     KL divergence   Σ_v p(v)·(log p(v) − log q(v)) of the distributions of the next token, p the first model's,
 *                     in nats; the mean over tokens, its error by windows
 *     same top        the share of tokens where both hold the same next token for the likeliest
 *     change          perplexity of the second over that of the first; its error is that of the differences, since both
 *                     read the same text
 *
 * Both run side by side, a document at a time, in the arithmetic that they are prepared for. */
#ifndef EVAL_AGREEMENT_H
#define EVAL_AGREEMENT_H

#include "base/pool.h"
#include "data/document.h"
#include "eval/statistics.h"
#include "model/model.h"
#include "op/device.h"
#include "op/pass.h"

struct agreement {
	struct estimate kl, same_top, first, second, change;
	double kl_most;             /* of a token */
	size_t tokens;
	double flops, int_ops;
};

struct agreement_models {
	struct model *first, *second;
	struct device *device;
	struct pool *pool;
	double *kl_of;              /* or NULL: [n] filled with the sum of each document's divergences */
};

/* Tokens that fit into a document so that the logits of both stay within a few hundred megabytes. */
int32_t agreement_length(const struct model *m);
/* Bytes of memory that it takes, weights aside. */
int agreement_bytes(size_t *bytes, const struct agreement_models *m, const struct document *items, size_t n,
                    struct err *e);
/* What comparing would take, as far as time goes as if the first model ran twice. */
struct agreement_forecast { double seconds; struct work work; size_t bytes; };
int agreement_forecast(struct agreement_forecast *f, const struct agreement_models *m, const struct document *items,
                       size_t n, struct err *e);
/* Of the tokens that are learnt. progress: documents done, of; other than 0 ends it. */
int agreement_run(struct agreement *a, const struct agreement_models *m, const struct document *items, size_t n,
                  int (*progress)(void *ctx, size_t done, size_t total), void *ctx, struct err *e);

#endif
