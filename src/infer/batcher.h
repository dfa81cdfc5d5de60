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
 * needed. A request whose beginning another one is just reading waits for it. */
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
	void (*begun)(void *ctx, int64_t ticket);      /* its tokens are read from now on; may be NULL */
	/* It ended, in any order; what it moves out of g is its own. Other than 0 ends the step with that status. */
	int (*done)(void *ctx, int64_t ticket, struct generation *g, struct err *e);
	void *ctx;
};

/* session, tokenizer and pool are borrowed; all of the session's sequences are the batcher's until it is freed, and
 * empty afterwards. */
struct batcher *batcher_new(struct session *s, const struct tokenizer *t, struct pool *pool);
/* Requests that are there are forgotten: `done` is not called. */
void batcher_free(struct batcher *b);
/* A ticket, 0, 1, 2, …; −1 where the prompt leaves no room for an answer: a sentence with both numbers. */
int64_t batcher_add(struct batcher *b, const struct batcher_request *r, struct err *e);
/* The request ends with the next step, FINISH_CANCELLED, as far as it came: `done` is called in any case, without
 * `begun` where it was in the queue still. False: there is no such request any more. */
bool batcher_cancel(struct batcher *b, int64_t ticket);
bool batcher_busy(const struct batcher *b);            /* are there any requests */
size_t batcher_new_tokens(const struct batcher *b);    /* of all answers so far */
/* 0, or −1 and a sentence, or what a `done` returned; those after it are called by the next step. */
int batcher_step(struct batcher *b, struct err *e);

#endif
