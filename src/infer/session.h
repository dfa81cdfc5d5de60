/* session: conversations with a model: what it keeps of the tokens that were fed, tokens in, logits out.
 *
 * A session holds sequences, 0, 1, 2, … All are alike: each may be fed, be branched from at any length (a branch
 * of a branch too), be truncated, kept, dropped, in any order; what sequences have in common is stored and computed
 * once, and goes with the last that has it (infer/sequences.h). Tokens of several go through the model in one step. The
 * logits of a sequence are, bit for bit, those that it would have alone, whatever is beside it and however it came
 * about. Tokens that were fed stay until they are truncated, so that a conversation's next turn computes only what is
 * new (session_keep).
 *
 * An adapter's virtual tokens (overlay.virtual_tokens) stand before the own ones of every sequence of that adapter and
 * are the session's matter: computed once for all of them, when the first is fed, and counted in none of the lengths
 * and limits below. */
#ifndef INFER_SESSION_H
#define INFER_SESSION_H

#include "infer/memory.h"
#include "infer/sampler.h"
#include "model/overlay.h"
#include "op/pass.h"

struct session;
struct trace;

enum { SESSION_ROWS = 512 };   /* most tokens of a step, and most sequences of a session */

struct session_size {
	int n_ctx;                     /* tokens of a sequence; virtual ones come beside, while there are positions */
	int n_sequences;               /* 0: one */
	struct cache_types cache;
	int n_logits;                  /* tokens of a step whose logits may be wanted; 0: one of each sequence */
	/* room for adapters with virtual tokens that are laid later: how many, of how many tokens each; 0: for those
	 * that are there */
	int n_soft, soft_tokens;
};

/* o: the topmost overlay (an adapter's, a trainer's), or NULL. Model, overlays and device are borrowed until
 * session_free. Blocks (Q8_0) want heads of a multiple of 16 numbers; virtual tokens, that positions for a prompt and
 * an answer are left. */
int session_new(struct session **s, struct model *m, const struct overlay *o, struct device *d,
                const struct session_size *size, struct err *e);
void session_free(struct session *s);
/* Another topmost overlay, or NULL, between two steps: what the sequences hold stays. So no adapter whose tokens any
 * of them has may be another one afterwards. Virtual tokens are computed anew, and more of them than there is room for
 * are an error. After −1 the session computes nothing until one was laid. The sequences' adapters are as they were
 * said (session_use). */
int session_lay(struct session *s, const struct overlay *o, struct err *e);

/* Feeds tokens (n ≥ 1) to a sequence, after those it has; logits [V] of the last one are borrowed until the next
 * call. A full context is an error with both numbers, and nothing is fed then. The first tokens of a sequence, and more
 * than one, are a prompt's: where they invoke an adapter, what the sequence has before is computed anew as far as it
 * would be otherwise. One token is what was answered. */
int session_feed(struct session *s, int sequence, const int32_t *ids, size_t n, const float **logits, struct err *e);

struct session_part {          /* one sequence's share of a step */
	int sequence;
	const int32_t *ids;        /* [n], n ≥ 1 */
	int n;
	int wanted;                /* logits of so many of its tokens, the last ones */
	const uint8_t *which;      /* [n] or NULL: not the last ones, but those that are 1 here, `wanted` of them */
	const float *logits;       /* out: [wanted][V], until the next step; NULL when none is wanted */
	struct live work;          /* out: its part of what the step computed */
};
/* Feeds several sequences together: at most session_rows tokens, each sequence once. Errors as session_feed. */
int session_step(struct session *s, struct session_part *parts, int n, struct err *e);

/* Makes `sequence`, which is empty, begin with the first `length` tokens of `parent` (both may go on, and end, as they
 * like). Returns how many tokens it has: fewer than `length` where what the model keeps cannot go back so far
 * (infer/memory.h); feed the rest. */
int session_branch(struct session *s, int sequence, int parent, int length);
/* Forgets what follows the first `length` tokens. Returns how many are left: fewer where what the model keeps cannot go
 * back so far; feed the rest. */
int session_truncate(struct session *s, int sequence, int length);
/* Forgets what does not begin ids[0..n), and the last token if all are there (its logits are gone). Returns how many
 * are left: feed the rest. */
int session_keep(struct session *s, int sequence, const int32_t *ids, size_t n);
void session_drop(struct session *s, int sequence);    /* forgets all of it */
/* The weights have changed: forgets all of every sequence, the virtual tokens too. */
void session_forget(struct session *s);

/* Where the session's adapter is several (adapt/multi_adapter.h): which of them a sequence's tokens go through from now
 * on, −1 for none; at first 0 for all. A sequence that holds tokens that went through one keeps it, unless no adapter
 * changes keys or values; so does a branch that begins with some. */
void session_use(struct session *s, int sequence, int adapter);
int session_adapter(const struct session *s, int sequence);
/* An adapter that is invoked by tokens (overlay.invocation) acts from the last place on where they stand in a prompt;
 * what comes before is the base's, and serves any adapter. ids[0..n): all of the prompt that a sequence goes on with;
 * of its tokens it holds none that it would have otherwise (session_common). session_feed and session_keep do this. */
void session_invoke(struct session *s, int sequence, const int32_t *ids, size_t n);
/* How many of a prompt's tokens ids[0..n), for that adapter, a sequence of the tokens has[0..n_has) begins with, of
 * which it holds some and will be fed the rest: so many a branch may begin with. */
size_t session_common(const struct session *s, int sequence, const int32_t *has, size_t n_has, int adapter,
                      const int32_t *ids, size_t n);

int session_length(const struct session *s, int sequence);      /* its tokens */
const int32_t *session_ids(const struct session *s, int sequence); /* [session_length] */
int session_limit(const struct session *s);            /* tokens that a sequence can hold */
size_t session_vocabulary(const struct session *s);    /* V */
const struct kernels *session_kernels(const struct session *s);
int session_sequences(const struct session *s);        /* how many there are */
/* most tokens of a step; SESSION_ROWS unless all sequences together hold less */
int session_rows(const struct session *s);
int session_logits(const struct session *s);           /* most tokens of a step whose logits are wanted */
/* For who bounds what the cache holds, in ranges of KV_RANGE tokens, which are real from when they are first used: how
 * many are held; those that a sequence still takes to grow to `length` tokens; bytes of one; how many are enough for a
 * sequence that is full. */
int session_ranges(const struct session *s);
int session_wants(const struct session *s, int sequence, int length);
size_t session_range_bytes(const struct session *s);
int session_ranges_full(const struct session *s);
/* Whether a sequence can be cut to any length that it had since the last step (there are no states). */
bool session_rewinds(const struct session *s);
/* Memory that it holds: the plan's arena, scratch of all threads, batch, rotary table; and the cache, which becomes
 * real as it fills. */
void session_bytes(const struct session *s, size_t *work, size_t *cache);
/* Of the cache, what is resident once n sequences hold `length` tokens each, the first `shared` of them in common: huge
 * pages come whole. */
size_t session_fill_bytes(const struct session *s, int n, int shared, int length);
/* Seconds and operations of a step that feeds `rows` tokens to each of n sequences when it holds `length`, logits
 * wanted; by timing a little of it (op/timing.h). All sequences are to be empty. */
int session_time(struct session *s, int n, int rows, int length, double *seconds, struct work *work,
                 struct err *e);
/* All that its steps have computed so far, and what such work (or a difference, or a part's) takes: floating-point and
 * integer operations, by the plan. */
struct live session_work(const struct session *s);
void session_operations(const struct session *s, const struct live *work, double *flops, double *int_ops);
/* From now on its nodes are timed there; NULL: no longer. */
void session_trace(struct session *s, struct trace *t);

/* Whether two sessions have the same keys and values for the same tokens: of one model, one way to keep them, and
 * whatever adapters they have change neither (the head, the last layer's queries, its output and its MLP come after all
 * keys), or not before they are invoked. Looked up in what was recorded, so it holds for any adapter. */
bool session_same_keys(const struct session *a, const struct session *b);
/* A sequence of `from` with what was computed of it, of an invoked adapter as far as it is the model's;
 * session_same_keys, room for its tokens. */
void session_copy(struct session *to, int sequence, const struct session *from, int from_sequence);

/* A sequence as a file: its tokens, what was computed of them, and what that belongs to. Written beside and renamed. */
int session_save(const struct session *s, int sequence, const char *path, struct err *e);
/* Back into a sequence, which is empty and has its adapter (session_use): it goes on with the bits that it would have
 * gone on with. What was kept in other types, by other arithmetic or by a model or adapter that computes other keys,
 * what does not fit or is damaged, is a sentence, and the sequence stays empty. The first tokens are computed again, to
 * see that they are the same. */
int session_load(struct session *s, int sequence, const char *path, struct err *e);

#endif
