/* session: conversations with a model: a cache of keys and values, tokens in, logits out.
 *
 * A session holds one sequence, number 0, or several. Sequences 1, 2, … each go on from where sequence 0 ends
 * (session_branch): what they share is stored and computed once. Tokens of several sequences go through the model in
 * one step. The logits of a sequence are, bit for bit, those that it would have alone, whatever is beside it. Tokens
 * that were fed stay until they are truncated, so that a conversation's next turn computes only what is new
 * (session_keep). */
#ifndef INFER_SESSION_H
#define INFER_SESSION_H

#include "infer/sampler.h"
#include "model/overlay.h"

struct session;
struct trace;

enum { SESSION_ROWS = 512 };   /* most tokens of a step, and most sequences of a session */

struct cache_types { enum dtype k, v; };   /* how keys and values are kept: F32 (the default), F16, BF16 or Q8_0 */

struct session_size {
	int n_ctx;                     /* tokens of a sequence */
	int n_sequences;               /* number 0 included; 0: one */
	struct cache_types cache;
};

/* o: the topmost overlay (an adapter's, a trainer's), or NULL. Model, overlays, pool and kernels are borrowed until
 * session_free. Blocks (Q8_0) want heads of a multiple of 16 numbers. */
int session_new(struct session **s, struct model *m, const struct overlay *o, struct pool *pool,
                const struct kernels *k, const struct session_size *size, struct err *e);
void session_free(struct session *s);

/* Feeds tokens (n ≥ 1) to sequence 0, after those it has; logits [V] of the last one are borrowed until the next call.
 * A full context is an error with both numbers, and nothing is fed then. */
int session_feed(struct session *s, const int32_t *ids, size_t n, const float **logits, struct err *e);

struct session_part {          /* one sequence's share of a step */
	int sequence;
	const int32_t *ids;        /* [n], n ≥ 1 */
	int n;
	bool wanted;               /* logits of its last token */
	const float *logits;       /* out: [V], until the next step; NULL when not wanted */
	struct live work;          /* out: its part of what the step computed */
};
/* Feeds several sequences together: at most session_rows tokens, parts in rising order of sequence, each once. Errors
 * as session_feed. */
int session_step(struct session *s, struct session_part *parts, int n, struct err *e);

/* Makes `sequence` (empty, not 0) begin with all of sequence 0, which cannot be fed or truncated until every branch is
 * dropped. An empty sequence 0 gives an empty branch. */
void session_branch(struct session *s, int sequence);
void session_drop(struct session *s, int sequence);    /* forgets a branch's tokens; it is no branch any more */

/* Where the session's adapter is several (adapt/multi_adapter.h): which of them a sequence's tokens go through from now
 * on, −1 for none; at first 0 for all. A sequence that holds tokens keeps its own, unless no adapter changes keys or
 * values; so does a branch that begins with some. */
void session_use(struct session *s, int sequence, int adapter);

int session_length(const struct session *s);           /* tokens of sequence 0 */
int session_length_of(const struct session *s, int sequence);
const int32_t *session_ids(const struct session *s, int sequence); /* its tokens, [session_length_of] */
int session_limit(const struct session *s);            /* tokens that a sequence can hold */
/* most tokens of a step; SESSION_ROWS unless all sequences together hold less */
int session_rows(const struct session *s);
/* Memory that it holds: the plan's arena, scratch of all threads, batch, rotary table; and the cache, which becomes
 * real as it fills. */
void session_bytes(const struct session *s, size_t *work, size_t *cache);
/* Of the cache, what is resident once sequences first … first+n−1 hold `length` tokens each: huge pages come whole. */
size_t session_fill_bytes(const struct session *s, int first, int n, int length);
/* Seconds and operations of a step that feeds `rows` tokens to each of those sequences when it holds `length`, logits
 * wanted; by timing a little of it (op/timing.h). All sequences are to be empty. */
int session_time(struct session *s, int first, int n, int rows, int length, double *seconds, double *flops,
                 struct err *e);
/* All that its steps have computed so far, and what such work (or a difference, or a part's) takes: floating-point and
 * integer operations, by the plan. */
struct live session_work(const struct session *s);
void session_operations(const struct session *s, const struct live *work, double *flops, double *int_ops);
/* From now on its nodes are timed there; NULL: no longer. */
void session_trace(struct session *s, struct trace *t);

void session_truncate(struct session *s, int length);  /* forgets all of sequence 0 after its first `length` tokens */
/* Forgets what of sequence 0 does not begin ids[0..n), and its last token if all are there (its logits are gone).
 * Returns how many are kept: feed the rest. */
int session_keep(struct session *s, const int32_t *ids, size_t n);

/* Whether two sessions have the same keys and values for the same tokens: of one model, one size, and whatever adapters
 * they have change neither (the head, the last layer's queries, its output and its MLP come after all keys). Looked up
 * in what was recorded, so it holds for any adapter. */
bool session_same_keys(const struct session *a, const struct session *b);
/* sequence 0 of `from` with what was computed of it; session_same_keys, no branches */
void session_copy(struct session *to, const struct session *from);

#endif
