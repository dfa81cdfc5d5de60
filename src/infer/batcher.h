/* batcher: requests answered beside each other, in the sequences of one session. Open: requests come and go between
 * steps, and there may be more of them than sequences; those that wait stand in a queue.
 *
 *     batcher_new(&b, session, tokenizer, pool);
 *     ticket = batcher_add(b, &request, &e);                  any time, in callbacks too
 *     while (status == 0 && batcher_busy(b))
 *             status = batcher_step(b, &e);                   one pass of the model; callbacks are called
 *
 * A step takes one token of every answer that grows and fills up with tokens of the prompts that are read. Each request
 * has its own way to draw, its own adapter, ends and text as it grows; its answer is, bit for bit, the one that
 * `generate` gives alone.
 *
 * What a request begins with as another did, tokens of its prompt or answer, is not computed again: it goes on
 * from there, while that one is still at work too, and the sequence of an answer that ended is kept until its place is
 * needed: the one that was used least lately goes first. A request whose beginning another one is just reading waits
 * for it.
 *
 * A request that began can end: it begins when what its prompt and its longest answer take of the cache is there, or is
 * when kept sequences are given up, and nothing is taken from it any more. */
#ifndef INFER_BATCHER_H
#define INFER_BATCHER_H

#include "infer/generate.h"

struct batcher;

struct batcher_request {
	const int32_t *ids;            /* the prompt, [n], n ≥ 1; copied */
	size_t n;
	int adapter;                   /* of a session with several, see session_use */
	/* Copied; what it points to stays there until `done`, but the sampler: it is a pattern, of which what is wanted
	 * is copied (stream and index too; the prompt is seen, nothing else). */
	struct generate_options generate;
	uint64_t client;               /* whose it is, where batcher_limits.fair is asked for */
	double until;                  /* clock_seconds at which it ends as far as it came (FINISH_TIMEOUT); 0: never */
	void (*begun)(void *ctx, int64_t ticket);      /* its tokens are read from now on; may be NULL */
	/* [n] or NULL: where it is 1, −log p of that token given those before it is wanted, of the pass that reads the
	 * prompt; copied. Of what another request had computed they are known, or those tokens are computed again. */
	const uint8_t *scored;
	/* Where there is `scored`: all was read, nothing is drawn yet. cost: [n], of scored ones, but for the first
	 * token. Other than 0: it ends so (FINISH_FILTER), without an answer. */
	int (*read)(void *ctx, int64_t ticket, const float *cost);
	/* It ended, in any order; what it moves out of g is its own. Other than 0 ends the step with that status. */
	int (*done)(void *ctx, int64_t ticket, struct generation *g, struct err *e);
	void *ctx;
};

/* session, tokenizer and pool are borrowed; all of the session's sequences are the batcher's until it is freed, and
 * empty afterwards. */
struct batcher *batcher_new(struct session *s, const struct tokenizer *t, struct pool *pool);
/* How much at once; zeros: all that the session holds. To be said again at any time. */
struct batcher_limits {
	int parallel;                  /* answers beside each other; further sequences keep beginnings alone */
	int ranges;                    /* of the cache (session_ranges), at least session_ranges_full */
	/* What a step with tokens of prompts takes at most while answers grow, as far as earlier steps tell; but so
	 * long as 16 of them take. So a long prompt keeps the others no longer from their next token. Four times that
	 * where none grows. Prompts that are read together have a part each. 0: all rows of a step. */
	double step_seconds;
	/* Guesses tokens of all answers ahead, as far as session_logits go; of as many sequences as the session has.
	 * Borrowed. */
	struct drafter *drafter;
	bool fair;                     /* the least served of the waiting is next (infer/turns.h), not who came first */
};
void batcher_limit(struct batcher *b, const struct batcher_limits *l);
/* Requests that are there are forgotten: `done` is not called. */
void batcher_free(struct batcher *b);
/* A ticket, 0, 1, 2, …; −1 where the prompt leaves no room for an answer: a sentence with both numbers. */
int64_t batcher_add(struct batcher *b, const struct batcher_request *r, struct err *e);
/* The request ends with the next step, FINISH_CANCELLED, as far as it came: `done` is called in any case, without
 * `begun` where it was in the queue still. False: there is no such request any more. */
bool batcher_cancel(struct batcher *b, int64_t ticket);
/* What a sequence of the session is for. */
struct batcher_slot {
	int64_t ticket;                /* whose answer is made, −1: nobody's */
	bool reads;                    /* the prompt still is */
	size_t prompt, made;           /* tokens of it; of the answer so far */
	size_t tokens;                 /* that it holds */
	int adapter;                   /* that they went through */
};
int batcher_slots(const struct batcher *b);
struct batcher_slot batcher_slot(const struct batcher *b, int i);
/* An idle sequence's tokens are forgotten; become a file (session_save); are those of a file (session_load), through
 * an adapter. −1 and a sentence; of a sequence that is answered too. */
int batcher_erase(struct batcher *b, int i, struct err *e);
int batcher_save(struct batcher *b, int i, const char *path, struct err *e);
int batcher_restore(struct batcher *b, int i, int adapter, const char *path, struct err *e);
/* What is kept of an adapter is forgotten: another one will have its number. None of its requests is there. */
void batcher_forget(struct batcher *b, int adapter);
bool batcher_busy(const struct batcher *b);            /* are there any requests */
size_t batcher_new_tokens(const struct batcher *b);    /* of all answers so far */
/* 0, or −1 and a sentence, or what a `done` returned; those after it are called by the next step. */
int batcher_step(struct batcher *b, struct err *e);

#endif
