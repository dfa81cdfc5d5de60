/* scorer: log-probabilities of documents, batched as forests: the forward-only tape behind score, eval and training's
 * evaluation. */
#ifndef INFER_SCORER_H
#define INFER_SCORER_H

#include "data/forest.h"
#include "model/graph.h"

struct scorer;

struct scorer_options {
	int32_t max_tokens;              /* tokens of a micro-batch; at least max_length is used */
	int32_t max_length;            /* of a document, an adapter's virtual tokens not counted */
	/* The bits that a training pass with the same micro-batches has, the head's arithmetic too. */
	bool as_trained;
	bool unshared;                 /* documents that begin alike share nothing */
	struct run_memory *memory;     /* it runs there, beside others that do (op/run.h); NULL: in its own */
	/* Of an encoder, which is refused else: the log-probability of each row's own token, given all of its
	 * document. */
	bool own_tokens;
	/* Not log-probabilities but each row's state after the final norm is computed, [rows][C], and handed to
	 * `scored`. Labels are of the document's own rows that are learnt, and sums stay 0. */
	bool states;
	/* The same of what this records on the hidden states, whatever its form; NULL: nothing else is. */
	uint32_t (*record)(void *ctx, struct graph *g, uint32_t hidden);
	/* Of what goes into each block (graph.h, layered), or NULL. */
	void (*layered)(void *ctx, struct graph *g, int layer, uint32_t x);
	bool next_tokens;              /* of what is recorded: labels are of the rows before learnt tokens after all */
	/* What each micro-batch has besides (op/batch.h), and what is done with one when it has run: docs are those in
	 * it. Or NULL. */
	const struct batch_column *columns;
	void (*scored)(void *ctx, struct batch *b, const struct document *const *docs, const float *result);
	void *ctx;
	/* [n of a run] or NULL: 1 where each learnt token of the document is the likeliest at its place, else 0. Of
	 * log-probabilities alone; nearly equal ones (a millionth) count as equal. */
	uint8_t *greedy;
};

/* o: the topmost overlay (an adapter's, a trainer's), or NULL. All are borrowed until scorer_free. */
int scorer_new(struct scorer **s, struct model *m, const struct overlay *o, struct device *d,
               const struct scorer_options *options, struct err *e);
/* Takes and touches the memory that scoring these documents needs; scorer_run does it too, but a plan wants to know
 * before. */
int scorer_prepare(struct scorer *s, const struct document *const *docs, size_t n, bool all, struct err *e);
/* Room for micro-batches of these capacities, whatever documents come. */
void scorer_reserve(struct scorer *s, const struct batch_cap *cap);
/* How many of these documents its next micro-batch takes. */
size_t scorer_take(const struct scorer *s, const struct document *const *docs, size_t n);
const struct batch_cap *scorer_cap(const struct scorer *s);   /* of its micro-batches */
/* For each document: logprob[i][j] of token j given those before it, for tokens that are learnt (or all when `all`):
 * the sum, and each if `each` is not NULL (each[i] points at n floats; unscored ones are left alone). Of states and of
 * what is recorded there are none, and sum may be NULL. progress (documents done, of) may be NULL; when it returns
 * other than 0 the run ends. Returns -1 with a sentence on that or on a document that is too long. */
int scorer_run(struct scorer *s, const struct document *const *docs, size_t n, bool all, double *sum, float **each,
               int (*progress)(void *ctx, size_t done, size_t total), void *ctx, struct err *e);
/* What scorer_run on these documents would take: operations and bytes of memory exactly, as they are recorded and
 * planned; seconds by timing a little of a typical micro-batch (op/timing.h), taking the memory left out; how fast that
 * goes, bytes/s. Takes no memory but for the moment of timing. */
/* flops: all operations; int_ops: of them those in int8 */
struct scorer_forecast { double flops, int_ops, seconds, touch_rate; int64_t computed_tokens; size_t bytes; };
int scorer_forecast(struct scorer *s, const struct document *const *docs, size_t n, bool all, struct scorer_forecast *f,
                    struct err *e);
double scorer_flops(const struct scorer *s);      /* all operations computed so far */
double scorer_int_ops(const struct scorer *s);    /* of them: those in int8 */
int64_t scorer_computed_tokens(const struct scorer *s);
void scorer_free(struct scorer *s);

#endif
